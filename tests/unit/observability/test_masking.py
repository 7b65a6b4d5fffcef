from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.observability.masking import mask_field, mask_text
from kamerton.observability.personal_details import EMAIL
from kamerton.observability.personal_names import NAME
from kamerton.observability.personal_numbers import CARD, PHONE, luhn_valid


@pytest.mark.parametrize(
    "number",
    [
        "+79161234567",
        "+7 916 123-45-67",
        "+7 (916) 123-45-67",
        "+7(916)1234567",
        "8 916 123 45 67",
        "8(916)123-45-67",
        "8-916-123-45-67",
        "89161234567",
        "79161234567",
        "8 9 1 6 1 2 3 4 5 6 7",
        "8.916.123.45.67",
        "8 800 555 35 35",
        "8 (495) 123-45-67",
        "9161234567",
        "916 123 45 67",
        "(916) 123-45-67",
        "+380671234567",
        "+38 (067) 123-45-67",
        "380 67 123 45 67",
        "067 123 45 67",
        "(067) 123-45-67",
        "0671234567",
        "+375 29 123-45-67",
        "+44 20 7946 0958",
        "123-45-67",
        "+7\u00a0916\u00a0123\u201345\u201367",
    ],
)
def test_phone_numbers_are_masked_in_any_grouping(number: str) -> None:
    assert mask_text(number) == PHONE
    assert mask_text(f"мой номер {number}, звоните") == f"мой номер {PHONE}, звоните"
    assert mask_text(f"тел:{number}.") == f"тел:{PHONE}."


@pytest.mark.parametrize(
    "text",
    [
        "13 200 рублей",
        "стоимость 13 200 ₽, со скидкой 12 000 ₽",
        "150",
        "мощность 150 лошадиных сил, водителей 2, возраст 25",
        "1 250 000 рублей",
        "12 345 678 900 рублей",
        "2026-11-21 09:57:38",
        "2026-11-21T09:57:38.123Z",
        "port 9092, 16000 Hz, 250 ms",
        "1 2 3 4 5 6 7 8 9",
        "120000.50",
        "192.168.100.200:54321",
        "4f0c2d1e-8912-3456-9123-456789012345",
        "89123456-7890-1234-5678-901234567890",
        "sha256 d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        "полис ОСАГО за 15 000 рублей на 365 дней",
    ],
)
def test_prices_powers_times_and_ids_stay(text: str) -> None:
    assert mask_text(text) == text


@given(st.integers(min_value=0, max_value=999_999_999), st.sampled_from([" ", "\u00a0", "\u202f"]))
def test_no_amount_below_a_milliard_is_masked(amount: int, separator: str) -> None:
    text = f"итого {amount:,} рублей".replace(",", separator)
    assert mask_text(text) == text


@given(
    st.sampled_from(["+7", "8", "+380", "+38 0"]),
    st.integers(min_value=900_000_000, max_value=999_999_999),
    st.integers(min_value=0, max_value=9),
    st.lists(st.sampled_from(["", " ", "-", ") ", " (", "."]), min_size=10, max_size=10),
)
def test_no_digit_of_a_phone_survives(prefix: str, body: int, last: int, separators: list[str]) -> None:
    digits = f"{body}" if prefix.startswith("+38") else f"{body}{last}"
    number = prefix + "".join(separator + digit for separator, digit in zip(separators, digits, strict=False))
    masked = mask_text(f"это мой телефон {number} спасибо")
    assert not any(char.isdigit() for char in masked), masked


@pytest.mark.parametrize("card", ["4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"])
def test_cards_are_masked(card: str) -> None:
    assert mask_text(f"карта {card} до 12/27") == f"карта {CARD} до 12/27"


def test_a_card_is_found_inside_a_longer_run_of_digits() -> None:
    assert mask_text("оплатил 4111 1111 1111 1111 13 200 рублей") == f"оплатил {CARD} 13 200 рублей"


def test_a_number_without_check_digit_and_grouping_is_no_card() -> None:
    assert mask_text("договор 9111 111111111112") == "договор 9111 111111111112"
    assert mask_text("0000 0000 0000 0000") == "0000 0000 0000 0000"


@given(st.text(alphabet="0123456789", min_size=12, max_size=18))
def test_exactly_one_check_digit_makes_a_number_valid(body: str) -> None:
    assert sum(luhn_valid(body + digit) for digit in "0123456789") == 1


@pytest.mark.parametrize(
    "address", ["a.petrov@mail.ru", "ivan+spam@sub.example.com", "почта@пример.рф", "ivan @ mail.ru"]
)
def test_mail_addresses_are_masked(address: str) -> None:
    assert mask_text(f"пишите на {address} пожалуйста") == f"пишите на {EMAIL} пожалуйста"


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("Меня зовут Иван", f"Меня зовут {NAME}"),
        ("меня зовут иван мне нужен полис", f"меня зовут {NAME} мне нужен полис"),
        ("Меня зовут Иван Петрович Сидоров, мне 40 лет", f"Меня зовут {NAME}, мне 40 лет"),
        ("меня зовут анна сергеевна петрова и я хочу", f"меня зовут {NAME} и я хочу"),
        ("моё имя — Анна-Мария", f"моё имя — {NAME}"),
        ("мое имя Пётр", f"мое имя {NAME}"),
        ("моя фамилия Шевченко", f"моя фамилия {NAME}"),
        ("Мене звати Олена Шевченко.", f"Мене звати {NAME}."),
        ("мене звати олена потрібні шини", f"мене звати {NAME} потрібні шини"),
        ("моє ім'я Тарас", f"моє ім'я {NAME}"),
        ("зовут меня Ольга", f"зовут меня {NAME}"),
        ("Здравствуйте, это Иван Петров говорит", f"Здравствуйте, это {NAME} говорит"),
        ("это говорит Сергей", f"это говорит {NAME}"),
        ("це Олена говорить", f"це {NAME} говорить"),
        ("вас беспокоит Мария", f"вас беспокоит {NAME}"),
        ("my name is John Smith.", f"my name is {NAME}."),
    ],
)
def test_introduced_names_are_masked(said: str, logged: str) -> None:
    assert mask_text(said) == logged


@pytest.mark.parametrize(
    "text",
    [
        "как вас зовут",
        "меня зовут как в паспорте",
        "что он говорит",
        "это он говорит неправду",
        "имя файла не найдено",
        "зовите оператора",
    ],
)
def test_talk_about_names_stays(text: str) -> None:
    assert mask_text(text) == text


def test_fields_are_masked_inside_structures() -> None:
    value = {"number": 150.0, "who": ["меня зовут Иван"], "phone": "12345", "deep": {"email": None, "ok": True}}
    assert mask_field("entities", value) == {
        "number": 150.0,
        "who": [f"меня зовут {NAME}"],
        "phone": PHONE,
        "deep": {"email": None, "ok": True},
    }


def test_a_phone_that_became_a_number_is_masked_and_other_numbers_are_not() -> None:
    assert mask_field("answer", 79161234567) == PHONE
    assert mask_field("rss_bytes", 12_345_678_900) == 12_345_678_900
    assert mask_field("power", 150) == 150


@given(st.text(max_size=200))
def test_masking_never_raises_and_is_stable(text: str) -> None:
    assert mask_text(mask_text(text)) == mask_text(text)
