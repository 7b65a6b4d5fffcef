"""Every kind of personal data, as written and as said, also in fields beside the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.observability.masking import mask_field, mask_fields, mask_text, masked_report
from kamerton.observability.personal_details import ADDRESS, BIRTH, EMAIL
from kamerton.observability.personal_names import NAME
from kamerton.observability.personal_numbers import ACCOUNT, CARD, INN, NUMBER, PASSPORT, PHONE, SNILS

HIDDEN = (
    ("восемь девятьсот двенадцать триста сорок пять шестьдесят семь восемьдесят девять", PHONE),
    ("Восемь, девятьсот двенадцать, триста сорок пять, шестьдесят семь, восемьдесят девять.", f"{PHONE}."),
    ("8, 912, 345, 67, 89", PHONE),
    ("8/912/345/67/89", PHONE),
    ("067, 123, 45, 67", PHONE),
    ("4111 1111 1111 1112", CARD),
    ("4111, 1111, 1111, 1111", CARD),
    ("4111.1111.1111.1111", CARD),
    ("Мене звуть Олександр Шевченко", f"Мене звуть {NAME}"),
    ("Фамилия моя Петров", f"Фамилия моя {NAME}"),
    ("Я Иван Петров", f"Я {NAME}"),
    ("ivan собака example точка com", EMAIL),
    ("o'neil@example.com", EMAIL),
    (
        'entities {"number": 671234567.0} beside «[phone]» in the same line',
        'entities {"number": [phone]} beside «[phone]» in the same line',
    ),
    ("плюс семь девятьсот двенадцать триста сорок пять шестьдесят семь восемьдесят девять", f"плюс {PHONE}"),
    ("мой номер восемь девять один два три четыре пять шесть семь восемь девять", f"мой номер {PHONE}"),
    ("восемь 912 триста сорок пять 67 89", PHONE),
    ("8 девятьсот двенадцать 345-67-89, звоните", f"{PHONE}, звоните"),
    ("девятьсот двенадцать триста сорок пять шестьдесят семь восемьдесят девять", PHONE),
    ("восемь девятьсот двенадцать три семёрки два нуля восемьдесят девять", PHONE),
    ("нуль шістдесят сім сто двадцять три сорок п'ять шістдесят сім", PHONE),
    ("нуль шістдесят сім, сто двадцять три, сорок п’ять, шістдесят сім", PHONE),
    ("плюс тридцять вісім нуль шістдесят сім сто двадцять три сорок п'ять шістдесят сім", f"плюс {PHONE}"),
    ("позвоните по телефону двести тридцать сорок пять шестьдесят семь", f"позвоните по телефону {PHONE}"),
    ("тел. 8‑912‑345‑67‑89", f"тел. {PHONE}"),
    ("мне 25, 8 912 345 67 89", f"мне 25, {PHONE}"),
    ("четыре тысячи сто одиннадцать", "четыре тысячи сто одиннадцать"),
    (
        "номер карты четыре один один один один один один один один один один один один один один один",
        f"номер карты {CARD}",
    ),
    (
        "карта пятьдесят пять пятьдесят пять пятьдесят пять пятьдесят пять "
        "пятьдесят пять пятьдесят пять сорок четыре сорок четыре",
        f"карта {CARD}",
    ),
    ("карта 2200 1234 5678 9012, цвв 123", f"карта {CARD}, цвв {CARD}"),
    ("код с обратной стороны 123", f"код с обратной стороны {CARD}"),
    ("счёт 40817810099910004312", f"счёт {ACCOUNT}"),
    ("40817810099910004312", ACCOUNT),
    ("паспорт 4512 345678", f"паспорт {PASSPORT}"),
    ("паспорт 4512345678 выдан", f"паспорт {PASSPORT} выдан"),
    ("45 12 345678", PASSPORT),
    ("серия 45 12 номер 345678", f"серия {PASSPORT}"),
    ("паспорт сорок пять двенадцать триста сорок пять шестьсот семьдесят восемь", f"паспорт {PASSPORT}"),
    ("паспорт АВ 123456", f"паспорт АВ {PASSPORT}"),
    ("СНИЛС 123-456-789 00", f"СНИЛС {SNILS}"),
    ("112-233-445 95", SNILS),
    ("снилс сто двенадцать двести тридцать три четыреста сорок пять девяносто пять", f"снилс {SNILS}"),
    ("инн 500100732259", f"инн {INN}"),
    ("500100732259", INN),
    ("мой инн пять ноль ноль один ноль ноль семь три два два пять девять", f"мой инн {INN}"),
    ("ідентифікаційний код 3184710691", f"ідентифікаційний код {INN}"),
    ("ivan.petrov собака mail.ru", EMAIL),
    ("пишите на ivan.petrov собака mail.ru, жду", f"пишите на {EMAIL}, жду"),
    ("почта ivan точка petrov собака mail точка ru", f"почта {EMAIL}"),
    ("иван точка петров собака яндекс точка ру", EMAIL),
    ("иван собачка мейл ру", EMAIL),
    ("olena крапка k равлик ukr крапка net", EMAIL),
    ("Иванов Иван Иванович", NAME),
    ("иванов иван иванович", NAME),
    ("оформите на Иванова Ивана Ивановича", f"оформите на {NAME}"),
    ("Спасибо, Иван Петрович!", f"Спасибо, {NAME}!"),
    ("Шевченко Олександр Тарасович", NAME),
    ("шевченко олена тарасівна", NAME),
    ("Гульнара Рашидовна Ахметова", NAME),
    ("я иван петров", f"я {NAME}"),
    ("Я, Ольга Сергеевна, хочу каско", f"Я, {NAME}, хочу каско"),
    ("это Марина", f"это {NAME}"),
    ("по фамилии Кузнецова", f"по фамилии {NAME}"),
    ("водитель Сергей Кузнецов, стаж 5 лет", f"водитель {NAME}, стаж 5 лет"),
    ("прізвище моє Коваленко", f"прізвище моє {NAME}"),
    ("Анна Каренина", NAME),
    ("родился 15 марта 1985 года", f"родился {BIRTH}"),
    ("дата рождения: 15.03.1985", f"дата рождения: {BIRTH}"),
    ("15.03.1985", BIRTH),
    ("пятнадцатое марта тысяча девятьсот восемьдесят пятого года", BIRTH),
    ("народилася 3 липня 1990 року", f"народилася {BIRTH}"),
    ("1985 года рождения", f"{BIRTH} года рождения"),
    ("живу на улице Ленина дом 5 квартира 12", f"живу на {ADDRESS}"),
    ("Москва, ул. Ленина, д. 5, кв. 12", f"Москва, {ADDRESS}"),
    ("Меня Олег зовут", f"Меня {NAME} зовут"),
    ("Дмитрий меня зовут", f"{NAME} меня зовут"),
    ("говорит Дмитрий", f"говорит {NAME}"),
    ("пане Андрію, добрий день", f"пане {NAME}, добрий день"),
    ("восемь, девять сот двенадцать, триста сорок пять, шесть десят семь, восемьдесят девять", PHONE),
    ("номер двести двадцать три сорок пять шестьдесят семь", f"номер {PHONE}"),
    ("карта 4111-1111-1111-1111, срок 12/27, код 123", f"карта {CARD}, срок 12/27, код {CARD}"),
    ("IBAN UA213223130000026007233566001", f"IBAN {ACCOUNT}"),
    ("почта и ван точка пет ров собака яндекс точка ру", f"почта {EMAIL}"),
    ("моя почта ivan@mail", f"моя почта {EMAIL}"),
    ("ivan at gmail dot com", EMAIL),
    ("родился двадцать пятого мая восемьдесят второго года", f"родился {BIRTH}"),
    ("дата рождения 25 05 82", f"дата рождения {BIRTH}"),
    ("проживаю Москва, улица Ленина, 5, 12", f"проживаю Москва, {ADDRESS}"),
    ("мешкаю на вулиці Шевченка, 12", f"мешкаю на {ADDRESS}"),
)


@pytest.mark.parametrize(("text", "logged"), HIDDEN)
def test_personal_data_is_masked(text: str, logged: str) -> None:
    assert mask_text(text) == logged
    assert mask_text(text, said=True) == logged


@pytest.mark.parametrize(
    "number", ["4512345678", "1234567890", "123 456 789", "три один два четыре пять шесть семь восемь девять"]
)
def test_in_what_was_said_any_long_number_is_somebodys(number: str) -> None:
    assert mask_text(f"мой {number} вот", said=True) == f"мой {NUMBER} вот"


@given(
    st.lists(st.sampled_from(["", " ", ", ", "/", "-", ". ", " - "]), min_size=16, max_size=16),
    st.sampled_from(["4111111111111111", "5555555555554444", "2200700012345678"]),
)
def test_no_digit_of_a_card_survives(separators: list[str], number: str) -> None:
    text = "".join(digit + separator for digit, separator in zip(number, separators, strict=True))
    masked = mask_text(f"карта {text} спасибо")
    assert not any(char.isdigit() for char in masked), masked


def test_typed_keys_stay_hidden_in_the_entities_beside_their_text() -> None:
    fields = mask_fields({"text": "0671234567", "entities": {"number": 671234567.0, "numbers": [671234567.0]}})
    assert fields == {"text": PHONE, "entities": {"number": PHONE, "numbers": [PHONE]}}


def test_numbers_that_a_telephone_number_fell_apart_into_are_masked() -> None:
    said = "восемь девятьсот двенадцать триста сорок пять шестьдесят семь восемьдесят девять"
    entities = {"number": 89.0, "numbers": [8.0, 912.0, 345.0, 67.0, 89.0], "yes_no": None}
    fields = mask_fields({"text": said, "entities": entities, "turn": 8})
    assert fields == {"text": PHONE, "entities": {"number": PHONE, "numbers": [PHONE], "yes_no": None}, "turn": 8}


def test_a_number_among_the_variables_is_masked_without_its_text() -> None:
    variables = {"answer": 671234567.0, "name": "Иван", "client_phone": "12345", "who": "Иванов Иван Иванович"}
    assert mask_field("variables", variables) == {
        "answer": PHONE,
        "name": NAME,
        "client_phone": PHONE,
        "who": NAME,
    }


def test_a_report_hides_in_its_state_what_its_turns_hide() -> None:
    report = {
        "assistant": "osago",
        "turns": [
            {"user_text": "меня зовут Тарас", "entities": {}, "marks": {"t6": 912.5}},
            {"user_text": "0671234567", "entities": {"number": 671234567.0}, "marks": {"t6": None}},
        ],
        "state": {"who": "Тарас", "answer": 671234567.0, "power": 150.0},
    }
    assert masked_report(report) == {
        "assistant": "osago",
        "turns": [
            {"user_text": f"меня зовут {NAME}", "entities": {}, "marks": {"t6": 912.5}},
            {"user_text": PHONE, "entities": {"number": PHONE}, "marks": {"t6": None}},
        ],
        "state": {"who": NAME, "answer": PHONE, "power": 150},
    }
    assert report["state"] == {"who": "Тарас", "answer": 671234567.0, "power": 150.0}


def test_what_a_turn_hides_it_hides_in_all_its_texts() -> None:
    turn = {
        "text": "меня зовут Иван, телефон 8 912 345 67 89",
        "reply": "Спасибо, Иван! Ваш номер 8 912 345-67-89. Полис стоит 13 200 рублей.",
        "heard": "Спасибо, Иван! Ваш номер 8 912 345",
        "said": "иван",
    }
    assert mask_fields(turn) == {
        "text": f"меня зовут {NAME}, телефон {PHONE}",
        "reply": f"Спасибо, {NAME}! Ваш номер {PHONE}. Полис стоит 13 200 рублей.",
        "heard": f"Спасибо, {NAME}! Ваш номер {PHONE}",
        "said": NAME,
    }


def test_a_report_does_not_take_a_figure_of_one_turn_for_a_part_of_another_turns_number() -> None:
    turns = [
        {"user_text": "8 912 150 67 89", "entities": {}},
        {"user_text": "сто пятьдесят", "entities": {"number": 150.0}},
    ]
    assert masked_report({"turns": turns, "state": {"power": 150}}) == {
        "turns": [{"user_text": PHONE, "entities": {}}, {"user_text": "сто пятьдесят", "entities": {"number": 150}}],
        "state": {"power": 150},
    }


@given(st.text(alphabet="0123456789 .,-+восемьдвануля@ ", max_size=60))
def test_masking_twice_changes_nothing(text: str) -> None:
    for said in (False, True):
        masked = mask_text(text, said=said)
        assert mask_text(masked, said=said) == masked


@pytest.mark.parametrize("piece", ["восемь ", "1 ", "1", "a@", "меня зовут ", "ул. ", "тысяча девятьсот ", "я "])
def test_very_long_texts_are_masked_as_well(piece: str) -> None:
    masked = mask_text(f"{piece * 2000} 8 912 345-67-89", said=True)
    assert "345" not in masked
