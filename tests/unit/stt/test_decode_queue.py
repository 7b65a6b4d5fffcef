from kamerton.domain.audio import PHONE
from kamerton.domain.recognition import RecognitionHint
from kamerton.stt.decode_queue import DecodeOutcome, DecodeQueue, DecodeRequest


def _request() -> DecodeRequest:
    def deliver(_request: DecodeRequest, _outcome: DecodeOutcome) -> None:
        raise AssertionError("the queue delivers nothing")

    return DecodeRequest(b"\0\0", PHONE, RecognitionHint(), deliver)


def _drain(queue: DecodeQueue) -> list[DecodeRequest]:
    taken = []
    while (request := queue.take()) is not None:
        taken.append(request)
    return taken


def test_ended_turns_go_before_speculative_ones_each_in_order() -> None:
    queue = DecodeQueue()
    guess_a, turn_a, guess_b, turn_b = (_request() for _ in range(4))
    for request, final in ((guess_a, False), (turn_a, True), (guess_b, False), (turn_b, True)):
        assert queue.put(request, final=final) is None
    assert _drain(queue) == [turn_a, turn_b, guess_a, guess_b]


def test_a_promoted_guess_lines_up_behind_the_ended_turns() -> None:
    queue = DecodeQueue()
    guess, other, turn = _request(), _request(), _request()
    queue.put(other, final=False)
    queue.put(guess, final=False)
    queue.put(turn, final=True)
    assert queue.promote(guess)
    assert _drain(queue) == [turn, guess, other]
    assert not queue.promote(guess)


def test_a_full_queue_drops_the_oldest_guess_for_anything_newer() -> None:
    queue = DecodeQueue(capacity=2)
    first, second, third, turn = (_request() for _ in range(4))
    queue.put(first, final=False)
    queue.put(second, final=False)
    assert queue.put(third, final=False) is first
    assert queue.put(turn, final=True) is second
    assert _drain(queue) == [turn, third]


def test_a_queue_full_of_ended_turns_refuses_what_comes() -> None:
    queue = DecodeQueue(capacity=1)
    waiting, late, guess = _request(), _request(), _request()
    queue.put(waiting, final=True)
    assert queue.put(late, final=True) is late
    assert queue.put(guess, final=False) is guess
    assert _drain(queue) == [waiting]


def test_removed_requests_are_not_taken() -> None:
    queue = DecodeQueue()
    guess, turn = _request(), _request()
    queue.put(guess, final=False)
    queue.put(turn, final=True)
    assert queue.remove(guess)
    assert queue.remove(turn)
    assert not queue.remove(turn)
    assert queue.take() is None
    assert len(queue) == 0
