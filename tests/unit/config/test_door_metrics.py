"""What the doors tell Prometheus."""

from prometheus_client import CollectorRegistry, generate_latest

from kamerton.config.door_metrics import DoorMetrics


def test_everything_has_few_series_and_follows_its_source() -> None:
    counters = {
        "audiosocket": {"served": 2, "ended_hung_up": 1, "ended_completed": 3, "ended_farewell": 4, "dropped_in_ms": 20}
    }
    troubles: dict[str, str] = {}
    registry = CollectorRegistry(auto_describe=True)
    registry.register(DoorMetrics(counters, lambda: troubles, {"files_open": ("Files", lambda: 17.0)}))
    page = generate_latest(registry).decode()
    assert 'kamerton_connections_total{door="audiosocket",what="served"} 2.0' in page
    assert 'kamerton_lines_ended_total{door="audiosocket",reason="hung_up"} 1.0' in page
    assert 'kamerton_lines_ended_total{door="audiosocket",reason="other"} 7.0' in page
    assert "dropped" not in page
    assert "kamerton_files_open 17.0" in page
    assert "kamerton_ready 1.0" in page
    assert "kamerton_not_ready{" not in page
    troubles["files"] = "too few"
    counters["audiosocket"]["turned_away"] = 1
    page = generate_latest(registry).decode()
    assert "kamerton_ready 0.0" in page
    assert 'kamerton_not_ready{part="files"} 1.0' in page
    assert 'what="turned_away"} 1.0' in page
