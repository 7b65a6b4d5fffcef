"""Run as a process with little memory and time: tries hostile and made-up scenario code and templates in it."""

from __future__ import annotations

import contextlib
import random
import resource
import sys
from pathlib import Path
from typing import Any

from kamerton.flow_engine.code_sandbox import CodeRejected, ScenarioCode
from kamerton.flow_engine.templates import SpokenTemplate, TemplateFailed, TemplateRejected

MEMORY_BYTES = 120 * 2**20
"""What the run may take on top of what the interpreter has mapped after its imports."""
CPU_S = 60
ROUNDS = 600

VARIABLES: dict[str, Any] = {"long": "9" * 2000, "items": ["слово"] * 1000, "n": 10**15, "few": [1, 2, 3]}

HOSTILE = [
    "x = 10 ** 10 ** 10",
    "x = 'a' * 10 ** 9",
    "x = 'aaaaaaaa'\nfor i in range(1000):\n    x = x + x",
    "x = [1] * 10 ** 9",
    "for i in range(1000):\n    for j in range(1000):\n        for k in range(1000):\n            x = i",
    "x = 'a'\nfor i in range(10):\n    x = x + x\ny = [x]\nfor i in range(10):\n    y = y + y",
    "x = int('9' * 10000)",
    "x = int(long)",
    "\n".join(f"v{i} = items + items" for i in range(150)),
    "x = items\nfor i in range(900):\n    y = x == items or x in [1] or long in items",
    "{{ items|join(long) }}",
    "{{ [" + "long," * 600 + "]|join }}",
    "{% for a in items %}" + "{{ long }}" * 90 + "{% endfor %}",
    "{{ long }}" * 390,
    "{{ " + "long|upper|" * 300 + "lower }}",
    "{{ 'a' * 10 ** 9 }}",
    "{% for a in items %}{% if long in items and items == items %}{% endif %}{% endfor %}" * 20,
    "{{ 1|number(10 ** 9) }}",
]
"""What has broken sandboxes: each of it is refused, fails or stays small."""

ATOMS = ["long", "items", "n", "few", "2", "10 ** 9", "'a'", "'ab' * 9", "[1, 2]", "10 ** 15", "n ** 60", "0.1"]
CODE = [
    *("({0} + {1})", "({0} * {1})", "({0} ** {1})", "({0} % {1})", "str({0})", "int({0})", "sorted({0})", "range({0})"),
    *("f'{{{0}}}{{{1}:,.2f}}'", "[{0}, {1}]", "({0} in {1})", "max({0}, {1})", "sum({0})", "round({0}, {1})", "{0}[0]"),
]
WORDS = [
    *("{0}|join({1})", "{0}|upper", "{0}|number({1})", "{0}|money({1})", "{0}|default({1})", "({0} * {1})"),
    *("({0} + {1})", "{0}|plural({1}, {0}, {1})", "[{0}, {1}]|join({0})", "({0} in {1})", "{0}|round({1})"),
    *("{0}|length", "{0}[0]"),
]


def attempt(source: str) -> None:
    """Try the text as code and as a template; whatever comes of it is small."""
    try:
        outcome = ScenarioCode(source, "p").run(VARIABLES, {"number": 5.0}, ())
        made = {name: value for name, value in outcome.variables.items() if name not in VARIABLES}
        assert sum(len(str(value)) for value in made.values()) < 2_000_000
    except CodeRejected:
        pass
    with contextlib.suppress(TemplateRejected, TemplateFailed):
        assert len(SpokenTemplate(source).render(VARIABLES)) <= 2000


def made_up(chance: random.Random, forms: list[str], depth: int) -> str:
    """An expression of at most so many levels."""
    if depth == 0 or chance.random() < 0.2:
        return chance.choice(ATOMS)
    return chance.choice(forms).format(made_up(chance, forms, depth - 1), made_up(chance, forms, depth - 1))


def main() -> None:
    """Limit the process, then try everything."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    for source in HOSTILE:
        attempt(source)
    chance = random.Random(int(sys.argv[1]))
    for _ in range(ROUNDS):
        body = "".join(f"    x{place} = {made_up(chance, CODE, 2)}\n" for place in range(3))
        attempt(f"x = {made_up(chance, CODE, 3)}\nfor i in range(1000):\n{body}")
        loop = f"{{% for a in items %}}{{{{ {made_up(chance, WORDS, 3)} }}}}{{% endfor %}}"
        attempt(f"{{{{ {made_up(chance, WORDS, 4)} }}}} {loop}" * chance.randint(1, 9))


if __name__ == "__main__":
    main()
