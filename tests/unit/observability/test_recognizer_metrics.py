from prometheus_client import CollectorRegistry

from kamerton.domain.recognition import RecognizerState
from kamerton.observability.recognizer_metrics import RecognizerMetrics


def test_the_state_of_the_moment_is_rendered() -> None:
    states = [RecognizerState(), RecognizerState("it hangs", 27, 4, 1.5, decoded=10, failed=3, refused=2, hung=1)]
    registry = CollectorRegistry()
    registry.register(RecognizerMetrics(lambda: states[-1]))
    values = {
        "kamerton_recognizer_trouble": 1,
        "kamerton_recognizer_waiting": 4,
        "kamerton_recognizer_expected_wait_seconds": 1.5,
    }
    for name, value in values.items():
        assert registry.get_sample_value(name) == value
    for outcome, count in (("decoded", 10), ("failed", 3), ("refused", 2), ("hung", 1)):
        assert registry.get_sample_value("kamerton_recognizer_decodes_total", {"outcome": outcome}) == count
    states.pop()
    assert registry.get_sample_value("kamerton_recognizer_trouble") == 0
