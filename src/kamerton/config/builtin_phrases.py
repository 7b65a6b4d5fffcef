"""What the engine says in its own words when an assistant has none: an ear that fails, and a service that stops.

These phrases came after the first assistants, so a folder may leave them out. They name nobody, promise no person
(not every scenario has one) and tell whose fault it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BUILT_IN_PHRASES: Final[Mapping[str, Mapping[str, str]]] = {
    "ru": {
        "cannot_hear": "Простите, я вас плохо слышу: мешает шум. Скажите, пожалуйста, ещё раз, коротко и погромче.",
        "line_goodbye": "Простите, разобрать вас не получается: очень шумно. Перезвоните, пожалуйста, когда связь "
        "будет лучше. До свидания!",
        "recognition_goodbye": "Простите, у нас неполадка, и я не могу разобрать вашу речь. Перезвоните, пожалуйста, "
        "через несколько минут. До свидания!",
        "service_goodbye": "Простите, мне нужно прервать разговор. Перезвоните, пожалуйста, через несколько минут. "
        "До свидания!",
    },
    "uk": {
        "cannot_hear": "Вибачте, я вас погано чую: заважає шум. Скажіть, будь ласка, ще раз, коротко й голосніше.",
        "line_goodbye": "Вибачте, розібрати вас не вдається: дуже шумно. Зателефонуйте, будь ласка, коли зв'язок буде "
        "кращий. До побачення!",
        "recognition_goodbye": "Вибачте, у нас несправність, і я не можу розібрати ваше мовлення. Зателефонуйте, будь "
        "ласка, за кілька хвилин. До побачення!",
        "service_goodbye": "Вибачте, мені потрібно перервати розмову. Зателефонуйте, будь ласка, за кілька хвилин. "
        "До побачення!",
    },
}
"""By language and key. `cannot_hear`: to a caller who talks on, or in too much noise; the call goes on.
`line_goodbye`: nothing can be heard, the call ends. `recognition_goodbye`: the recogniser failed several times, the
call ends. `service_goodbye`: the service stops, the call ends."""
