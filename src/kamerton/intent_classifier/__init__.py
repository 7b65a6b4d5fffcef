"""Understanding: entities, completeness, intents and prepared answers, from text to verdicts; knows no event loop."""

from kamerton.intent_classifier.catalogue import FaqEntry, IntentExamples, parse_intents
from kamerton.intent_classifier.classifier import IntentClassifier
from kamerton.intent_classifier.classifier_chain import ClassifierChain
from kamerton.intent_classifier.completeness import completeness, is_backchannel
from kamerton.intent_classifier.entities import extract_entities
from kamerton.intent_classifier.numbers import NumberSpan, find_numbers
from kamerton.intent_classifier.phones import find_phone
from kamerton.intent_classifier.yes_no import yes_no

__all__ = [
    "ClassifierChain",
    "FaqEntry",
    "IntentClassifier",
    "IntentExamples",
    "NumberSpan",
    "completeness",
    "extract_entities",
    "find_numbers",
    "find_phone",
    "is_backchannel",
    "parse_intents",
    "yes_no",
]
