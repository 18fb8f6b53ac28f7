"""Prometheus' files under promtool, and Grafana's dashboard: every metric is one that there is."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.servers import free_port
from tests.conftest import Project
from tests.deploy.metrics import METRICS
from tests.deploy.places import DEPLOY, documents

FOLDER = DEPLOY / "prometheus"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text("utf-8"))

# Prometheus' own.
OTHERS = {"up": set[str](), "ALERTS": {"alertname", "alertstate"}}
EVERYWHERE = {"job", "instance"}


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed")
    command = [found, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def rules() -> list[dict[str, Any]]:
    (document,) = documents(FOLDER / "alerts.yml")
    (group,) = document["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def names_in(expression: str) -> tuple[set[str], set[str]]:
    """The metrics of an expression, and the labels that it speaks of."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    metrics = set(re.findall(r"\b(?:modelset_\w+|up|ALERTS)\b", bare))
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"\"", bare))
    for group in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", bare):
        labels |= set(re.findall(r"\w+", group))
    return metrics, labels


def unknown_in(expression: str) -> set[str]:
    """What of an expression no metric has."""
    known = {**METRICS, **OTHERS}
    metrics, labels = names_in(expression)
    assert metrics, expression
    allowed = EVERYWHERE.union(*(known.get(name, set()) for name in metrics))
    return (metrics - set(known)) | (labels - allowed)


def test_names_that_do_not_exist_are_found() -> None:
    assert unknown_in('sum by (le, job) (modelset_jobs{state="x"})') == {"le"}
    assert unknown_in('rate(modelset_job{stat=~"x"}[5m])') == {"modelset_job", "stat"}
    assert unknown_in("modelset_jobs and on (tier) up") == {"tier"}


def test_the_configuration_is_sound(tmp_path: Path) -> None:
    text = (FOLDER / "prometheus.yml").read_text()
    assert "credentials_file: /run/secrets/token" in text
    (tmp_path / "token").write_text("0123abcd")
    (tmp_path / "alerts.yml").write_bytes((FOLDER / "alerts.yml").read_bytes())
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/run/secrets/token", str(tmp_path / "token")))

    done = promtool("check", "config", config)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout
    (tmp_path / "token").unlink()
    assert promtool("check", "config", config).returncode == 1


def test_every_rule_says_what_it_means_and_how_bad_it_is() -> None:
    done = promtool("check", "rules", FOLDER / "alerts.yml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert len({rule["alert"] for rule in rules()}) == len(rules()) > 10
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert unknown_in(rule["expr"]) == set(), rule["alert"]


def test_the_cases_of_the_rules_hold() -> None:
    done = promtool("test", "rules", FOLDER / "alerts_test.yml")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("expression", "words"), [("vector(0) > 1", "got:[]"), ("vector(1)", "")])
def test_a_rule_that_never_fires_breaks_its_case_and_so_does_one_that_always_does(
    expression: str, words: str, tmp_path: Path
) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    (tmp_path / "alerts_test.yml").write_bytes((FOLDER / "alerts_test.yml").read_bytes())
    (document,) = documents(FOLDER / "alerts.yml")
    for rule in document["groups"][0]["rules"]:
        rule.update({"expr": expression, "for": "0s"})
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(document))

    done = promtool("test", "rules", tmp_path / "alerts_test.yml")

    assert done.returncode == 1
    said = done.stdout + done.stderr
    broken = set(re.findall(r"alertname: ?(\w+)", said))
    assert broken == {rule["alert"] for rule in rules()}, said[:3000]
    assert words in said


# ---- Grafana -----------------------------------------------------------------------------------


def expressions() -> list[tuple[str, str]]:
    found = [
        (panel["title"], target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    ]
    found += [("annotations", row["expr"]) for row in DASHBOARD["annotations"]["list"]]
    return found


def test_every_panel_shows_metrics_that_there_are() -> None:
    assert len(expressions()) > 20
    for title, expression in expressions():
        assert unknown_in(expression) == set(), title


def test_every_metric_is_shown_somewhere() -> None:
    used = {name for _, expression in expressions() for name in names_in(expression)[0]}
    queries = str(DASHBOARD["templating"])

    missing = {name for name in METRICS if name not in used and name not in queries}

    assert missing == {"modelset_last_check_success"}, "an alert has that one"


def test_every_expression_is_one_that_prometheus_reads(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    rows = []
    for number, (_, expression) in enumerate(expressions()):
        for name, value in (
            ("$__rate_interval", "5m"),
            ("$__range", "6h"),
            ("$instance", ".*"),
        ):
            expression = expression.replace(name, value)
        assert "$" not in expression
        rows.append({"record": f"modelset:row_{number}", "expr": expression})
    file = tmp_path / "rows.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "rows", "rules": rows}]}))

    done = promtool("check", "rules", file)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rows)} rules found" in done.stdout


def test_the_panels_stand_beside_each_other() -> None:
    places: set[tuple[int, int]] = set()
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24, panel["title"]
        own = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not own & places, panel["title"]
        places |= own
        assert panel["type"] == "row" or panel["description"]
        refs = [target["refId"] for target in panel.get("targets", ())]
        assert len(refs) == len(set(refs))

    assert len(numbers) == len(set(numbers))


def test_the_dashboard_goes_to_any_source_of_data() -> None:
    sources = re.findall(r'"uid": "([^"]+)"', json.dumps(DASHBOARD))
    names = {row["name"] for row in DASHBOARD["templating"]["list"]}

    assert set(sources) == {"modelset", "${datasource}"}
    assert names == {"datasource", "instance"}
    assert "http://" not in json.dumps(DASHBOARD)
    assert "https://" not in json.dumps(DASHBOARD)


# ---- the service itself ------------------------------------------------------------------------


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


@contextlib.contextmanager
def serving(project: Project) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    pytest.importorskip("fastapi", reason="the extra `server` is not installed")
    pytest.importorskip("uvicorn", reason="the extra `server` is not installed")
    port = free_port()
    command = [sys.executable, "-m", "modelset", "serve", "--port", str(port)]
    with (project.folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command, env=dict(project.environ), cwd=project.folder, stdout=said, stderr=said
        )
        try:
            ends = time.monotonic() + 30
            while time.monotonic() < ends and process.poll() is None:
                with contextlib.suppress(OSError):
                    if ask(port, "/livez")[0] == 200:
                        yield port, process
                        return
                time.sleep(0.05)
            raise AssertionError((project.folder / "said").read_text())
        finally:
            process.terminate()
            process.wait(15)


def test_the_service_has_these_metrics_and_ends_as_its_unit_expects(project: Project) -> None:
    with serving(project) as (port, process):
        status, text = ask(port, "/metrics")
        ready = ask(port, "/readyz")[0]

    kinds = {}
    for name, kind in re.findall(r"(?m)^# TYPE (\S+) (\w+)$", text):
        kinds[f"{name}_bucket" if kind == "histogram" else name] = kind
    assert (status, ready) == (200, 503)
    assert METRICS.keys() <= kinds.keys(), METRICS.keys() - kinds.keys()
    for name in METRICS:
        assert (kinds[name] == "counter") == name.endswith("_total")
    shown = dict(re.findall(r"(?m)^(modelset_\w+)\{([^}]*)\}", text))
    assert shown
    for name, labels in shown.items():
        if name in METRICS:
            assert set(re.findall(r"(\w+)=", labels)) <= METRICS[name], name
    assert process.returncode == 143
