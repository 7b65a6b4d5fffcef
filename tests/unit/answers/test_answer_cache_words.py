import pytest

from kamerton.answers.answer_cache_words import ages, mentions, read_question, same_question

SAME = [
    ("сколько стоит оформить каско", "Скажите, пожалуйста, сколько стоит оформить каско?"),
    ("можно ли оформить полис без техосмотра", "полис без техосмотра можно оформить?"),
    ("можно ли вернуть деньги за полис", "могу я вернуть деньги за полис"),
    ("нужно ли возить с собой бумажный полис", "надо ли возить с собой бумажный полис"),
    ("куда звонить при аварии", "при аварии куда звонить"),
    ("добрый день, сколько стоит оформить каско", "сколько стоит оформить каско"),
    ("есть ли у вас рассрочка на полис", "у вас рассрочка на полис есть"),
    ("как оформить возврат", "Как мне оформить возврат?"),
]
DIFFERENT = [
    ("можно ли оформить полис без техосмотра", "можно ли оформить полис с техосмотром"),
    ("можно ли без техосмотра", "можно ли с техосмотром"),
    ("входит ли угон в каско", "не входит ли угон в каско"),
    ("входит ли угон, а не ущерб", "входит ли не угон, а ущерб"),
    ("может ли муж вписать жену в полис", "может ли жена вписать мужа в полис"),
    ("как перевести деньги с карты на счёт", "как перевести деньги со счёта на карту"),
    ("нужно ли возить с собой полис", "можно ли возить с собой полис"),
    ("когда платят за ущерб", "кто платит за ущерб"),
    ("где оформить полис", "как оформить полис"),
    ("что делать до аварии", "что делать после аварии"),
    ("сколько стоит каско на машину", "сколько стоит каско на мотоцикл"),
    ("сколько стоит полис на 3 месяца", "сколько стоит полис на 6 месяцев"),
    ("работает ли офис утром", "работает ли офис вечером"),
    ("работает ли офис в субботу", "работает ли офис до субботы"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_question_said_in_another_way(one: str, other: str) -> None:
    assert same_question(read_question(one, "ru"), read_question(other, "ru"))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_questions_that_only_look_alike(one: str, other: str) -> None:
    assert not same_question(read_question(one, "ru"), read_question(other, "ru"))


def test_ukrainian() -> None:
    one = read_question("Чи можна оформити поліс без техогляду?", "uk")
    assert same_question(one, read_question("скажіть будь ласка чи можна оформити поліс без техогляду", "uk"))
    assert not same_question(one, read_question("чи можна оформити поліс з техоглядом", "uk"))
    assert same_question(read_question("шини зі знижкою", "uk"), read_question("шини із знижкою", "uk"))


@pytest.mark.parametrize(
    "text",
    [
        "а сколько стоит для мотоцикла",
        "и можно оформить на год",
        "сколько это стоит на год",
        "он покрывает угон машины",
        "почему так дорого стоит полис",
        "какие ещё нужны документы",
        "её можно вернуть обратно",
        "а это входит в каско",
    ],
)
def test_questions_that_lean_on_what_was_said(text: str) -> None:
    assert read_question(text, "ru").leans


def test_questions_that_stand_alone_and_nothing_at_all() -> None:
    for one, other in SAME:
        assert not read_question(one, "ru").leans
        assert not read_question(other, "ru").leans
    for text in ("", "   ", "…?!", "🙂"):
        assert read_question(text, "ru").items == ()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Для ста пятидесяти сил цена выше.", [150.0]),
        ("Для 150 лошадиных сил цена выше.", [150]),
        ("Цена 12 500 рублей.", [12500]),
        ("Цена 12,5 тысячи.", [12.5]),
        ("Полис для Ивана Петрова готов.", ["Иван Петров"]),
        ("Доставим в Казань.", {"city": "Казань"}.values()),
        ("Ваш номер 79161234567.", ["79161234567"]),
        ("Глубоко: Казань.", [{"trip": ["Москва", ("Казань",)]}]),
    ],
)
def test_what_belongs_to_a_call(text: str, values: list[object]) -> None:
    assert mentions(text, values, "ru")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Для 150 лошадиных сил цена выше.", [151.0, 15, 50]),
        ("Три дня.", ["Иван"]),
        ("Доставим в Казань.", ["Москва", "", "да", None, True, [], {}]),
        ("Выплата за 15 дней.", []),
        ("Иванов много.", ["Иван"]),
    ],
)
def test_what_does_not(text: str, values: list[object]) -> None:
    assert not mentions(text, values, "ru")


def test_what_ages() -> None:
    assert ages("Сегодня работаем до восьми.")
    assert ages("Приходьте завтра.")
    assert not ages("Каждый день до восьми.")
