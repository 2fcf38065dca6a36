"""The what-if page: forms, plans, kept variants and downloads, as HTML that works without JavaScript."""

from __future__ import annotations

import hmac
import io
import math
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, abort, jsonify, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Response

from optimiser.analysis.levers import OF_CONTRACTS, Lever, lever_words, levers_of, read_levers
from optimiser.errors import Fault, InstanceError
from optimiser.report.files import REPORTS
from optimiser.report.page import STYLE
from optimiser.report.terminal import month, pounds, share
from optimiser.serve.desk import BusyError, Desk, Job
from optimiser.serve.shelf import MOST, Run
from optimiser.serve.shown import Drawer, compared, side_by_side, words_of

Row = dict[str, Any]
#: Largest form that is read, bytes.
LARGEST_FORM = 64 * 1024
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MIME = {
    "page": "text/html",
    "workbook": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "paper": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
#: What stands on a page where an address leads nowhere, and so on.
MESSAGES = {
    404: (
        "There is nothing here",
        "A plan that nobody kept is remembered for a while only. Variants that were kept are listed beneath the form.",
    ),
    405: ("This address takes forms only", "Go back to the form and use its buttons."),
    413: ("The form is too large", "Go back to the form and write figures into its fields."),
}


def make_app(desk: Desk, hosts: tuple[str, ...], key: str = "") -> Flask:
    """The pages of a desk.

    Parameters
    ----------
    hosts : names with port under which the server is reached, as ``127.0.0.1:8765``; requests to any other are refused, so
        that no page elsewhere can reach the server under a name of its own
    key : with which every address begins; whoever else uses this computer does not know it, and is refused. None if blank
    """
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    if key:
        app.wsgi_app = DispatcherMiddleware(_stranger(), {f"/{key}": app.wsgi_app})  # type: ignore[method-assign]
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_FORM
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    token = secrets.token_urlsafe(32)
    drawer = Drawer()
    levers = levers_of(desk.instance)
    settings = desk.instance.settings

    @app.before_request
    def refuse_strangers() -> ResponseReturnValue | None:
        if request.host not in hosts:
            return "This server answers to its own address only.", 421
        origin = request.headers.get("Origin")
        elsewhere = origin is not None and (urlsplit(origin).netloc not in hosts or not origin.startswith("http://"))
        site = request.headers.get("Sec-Fetch-Site", "none")
        if request.method == "POST" and (elsewhere or site not in ("same-origin", "none")):
            return message(403, "This form was sent from another page", "Open the form at this server's own address.")
        if request.method == "POST" and not hmac.compare_digest(request.form.get("token", ""), token):
            return stale()
        return None

    @app.after_request
    def guard(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.context_processor
    def everywhere() -> Row:
        return {
            "token": token,
            "instance": {"title": settings.title, "question": settings.question, "as_at": month(settings.as_at)},
            "variants": desk.shelf.variants(),
            "others": desk.shelf.others(),
            "folder": str(desk.shelf.folder),
            "most": MOST,
            "base_run": desk.base,
        }

    def message(status: int, title: str, words: str) -> ResponseReturnValue:
        return render_template("message.html", title=title, words=words), status

    def refused() -> int:
        """Status of a form that must be mended; the script shows it without the browser calling it an error."""
        return 200 if "X-Live" in request.headers else 422

    def stale() -> ResponseReturnValue:
        """A form from before the server was started again: nothing that was typed is lost."""
        words = (
            "This form is from before the server was started again. What was typed is still here: send it once more."
        )
        if request.path == url_for("plan"):
            return show_desk(typed(), notice=words), 403
        return message(403, "Send it once more", words)

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        title, words = MESSAGES.get(status, (error.name, "Go back to the form and try again."))
        return message(status, title, words)

    @app.errorhandler(InstanceError)
    def faulty(error: InstanceError) -> ResponseReturnValue:
        return message(422, "This could not be done", " ".join(str(fault) for fault in error.faults))

    @app.errorhandler(BusyError)
    def busy(error: BusyError) -> ResponseReturnValue:
        if request.path == url_for("plan"):
            return show_desk(typed(), notice=str(error)), 503
        return message(503, "The desk is full", str(error))

    # the form, and what was planned with it

    def typed() -> dict[str, str]:
        return {lever.key: request.form.get(lever.key, text_of(lever, lever.value)) for lever in levers}

    def show_desk(
        written: Mapping[str, str],
        faults: Mapping[str, Fault] | None = None,
        job: Job | None = None,
        notice: str = "",
        name_fault: Fault | None = None,
        name: str = "",
    ) -> str:
        base = desk.base
        shown = None
        if job is not None and job.document is not None and not job.base:
            shown = panel(job.id, job.document, base)
        elif job is None and base is not None:
            shown = panel(f"base-{stamp(base)}", base.document, None)
        return render_template(
            "desk.html",
            groups=groups_of(levers, written, faults or {}),
            faults=faults or {},
            ids={lever.key: html_id(lever.key) for lever in levers},
            job=job,
            progress=None if job is None else progress_of(job),
            shown=shown,
            moved=[] if job is None else lever_words(desk.instance, job.figures),
            notice=notice,
            name_fault=name_fault,
            name=name,
        )

    def panel(key: str, document: Row, base: Run | None) -> Row:
        other = None if base is None else base.document
        against = "" if base is None else stamp(base)
        return {
            "words": words_of(document),
            "figures": compared(document, other),
            "charts": drawer.charts(f"{key}-{against}", document, other),
            "document": document,
            "price_base": document["instance"]["price_base"],
        }

    def progress_of(job: Job) -> Row:
        found = {**job.progress, "ahead": desk.ahead(job)}
        step = 1_000.0
        gap = found.get("gap")
        target = max(desk.asked.gap, 1e-6)
        found["share"] = (
            0 if not gap else round(100 * min(1.0, math.log(max(gap, 1e-9)) / math.log(target)) if gap < 1 else 0)
        )
        found["shown"] = {
            "Round": str(found.get("round", "–")),
            "Best plan so far": pounds(found.get("incumbent"), step),
            "No plan can cost less than": pounds(found.get("bound"), step),
            "Gap": share(gap, 2),
            "Seconds": f"{found.get('seconds', 0):.0f}",
        }
        if found["state"] == "waiting":
            found["words"] = f"waiting: {found['ahead']} before it" if found["ahead"] else "waiting for its turn"
        return found

    @app.get("/")
    def home() -> ResponseReturnValue:
        job = desk.first if desk.base is None else None
        return show_desk({lever.key: text_of(lever, lever.value) for lever in levers}, job=job)

    @app.post("/plan")
    def plan() -> ResponseReturnValue:
        written = typed()
        nudged = nudge(levers, written, request.form.get("nudge", ""))
        figures, faults = read_levers(desk.instance, nudged)
        if faults:
            return show_desk(nudged, faults), refused()
        job = desk.ask(figures, nudged, request.form.get("instead_of", ""))
        return redirect(url_for("planned", job_id=job.id), 303)

    @app.get("/plan/<job_id>")
    def planned(job_id: str) -> ResponseReturnValue:
        job = known(job_id)
        if job.run is not None:
            return redirect(address_of(job.run), 303)
        written = {lever.key: job.written.get(lever.key, text_of(lever, lever.value)) for lever in levers}
        return show_desk(written, job=job)

    @app.get("/plan/<job_id>/progress")
    def progress(job_id: str) -> ResponseReturnValue:
        return jsonify(progress_of(known(job_id)))

    @app.post("/plan/<job_id>/stop")
    def stop(job_id: str) -> ResponseReturnValue:
        job = known(job_id)
        desk.stop(job_id)
        desk.wait(job, 5.0)
        return redirect(address_of(job.run) if job.run is not None else url_for("planned", job_id=job_id), 303)

    @app.post("/base")
    def plan_base() -> ResponseReturnValue:
        desk.again()
        return redirect(url_for("home"), 303)

    # variants

    @app.post("/plan/<job_id>/keep")
    def keep(job_id: str) -> ResponseReturnValue:
        job = known(job_id)
        if job.plan is None or job.document is None:
            abort(404)
        name = request.form.get("name", "")
        try:
            run = desk.shelf.keep(name, job.plan, job.document)
        except InstanceError as error:
            return show_desk(job.written, job=job, name_fault=error.faults[0], name=name), refused()
        return redirect(url_for("variant", slug=run.slug), 303)

    @app.get("/kept/<slug>")
    def variant(slug: str) -> ResponseReturnValue:
        run = kept(slug)
        job = desk.job_of(run)
        base = desk.base
        other = base if base is not None and run.folder != base.folder else None
        return render_template(
            "kept.html",
            run=run,
            address=address_of(run),
            is_base=other is None and base is not None,
            ours=slug != "base" or desk.base_is_ours,
            shown=panel(stamp(run), run.document, other),
            job=job,
            progress=None if job is None else progress_of(job),
            moved=lever_words(desk.instance, {key: value for key, value in run.asked.figures if key not in given()}),
        )

    @app.post("/kept/<slug>/complete")
    def complete(slug: str) -> ResponseReturnValue:
        run = kept(slug)
        if not run.complete and (slug != "base" or desk.base_is_ours):
            desk.work_out(run)
        return redirect(address_of(run), 303)

    @app.post("/kept/<slug>/discard")
    def discard(slug: str) -> ResponseReturnValue:
        desk.shelf.discard(slug)
        return redirect(url_for("compare"), 303)

    @app.get("/kept/<slug>/download/<kind>")
    def download(slug: str, kind: str) -> ResponseReturnValue:
        run = kept(slug)
        return sent(kind, stamp(run), run.document, slug)

    @app.get("/plan/<job_id>/download/<kind>")
    def download_planned(job_id: str, kind: str) -> ResponseReturnValue:
        job = known(job_id)
        if job.document is None:
            abort(404)
        return sent(kind, job.id, job.document, "what-if")

    @app.get("/compare")
    def compare() -> ResponseReturnValue:
        base, variants = desk.base, desk.shelf.variants()
        runs = ([base] if base is not None else []) + variants
        names = [("The base" if run is base else run.name, run.document) for run in runs]
        key = "/".join(stamp(run) for run in runs)
        return render_template(
            "compare.html",
            runs=[(run, address_of(run), lever_words(desk.instance, own_figures(run))) for run in runs],
            names=[name for name, _ in names],
            rows=side_by_side(names) if names else [],
            chart=drawer.variants(key, names) if len(names) > 1 else None,
        )

    @app.get("/page.css")
    def style() -> ResponseReturnValue:
        return send_file(STYLE, mimetype="text/css")

    # what the addresses stand for

    def known(job_id: str) -> Job:
        return desk.find(job_id) or abort(404)

    def kept(slug: str) -> Run:
        return (desk.base if slug == "base" else desk.shelf.find(slug)) or abort(404)

    def address_of(run: Run) -> str:
        base = desk.base
        return url_for("variant", slug="base" if base is not None and run.folder == base.folder else run.slug)

    def given() -> Row:
        return dict(desk.asked.figures)

    def own_figures(run: Run) -> Row:
        return {key: value for key, value in run.asked.figures if given().get(key, math.nan) != value}

    def sent(kind: str, key: str, document: Row, name: str) -> ResponseReturnValue:
        if kind not in REPORTS:
            abort(404)
        content = drawer.download(key, kind, {"plan": document})
        called = f"{settings.name}-{name}{REPORTS[kind][0]}"
        return send_file(io.BytesIO(content), mimetype=MIME[kind], as_attachment=True, download_name=called)

    return app


def _stranger() -> Response:
    """What is answered to an address without the key."""
    words = "Open the whole address that optimiser serve has printed: it holds a key, which nobody else on this computer has."
    return Response(words, 403, HEADERS, mimetype="text/plain")


def stamp(run: Run) -> str:
    """What tells a run on disk from one that takes its place."""
    return f"{run.slug}-{run.document['timings']['total_seconds']}-{run.document['objective_gbp']}"


def html_id(key: str) -> str:
    """A key as the id of a field."""
    return re.sub(r"[^a-z0-9]+", "-", key)


def text_of(lever: Lever, value: float | None) -> str:
    """A figure as it stands in its field."""
    if value is None:
        return ""
    return f"{value:,.0f}" if lever.unit == "£" else f"{value:.12g}"


def nudge(levers: list[Lever], written: Mapping[str, str], asked: str) -> dict[str, str]:
    """What is written, with one figure a step up or down where a button asks so; one that is no number stays as it is."""
    found = dict(written)
    key, _, way = asked.partition("|")
    lever = next((each for each in levers if each.key == key), None)
    if lever is None or way not in ("-1", "+1"):
        return found
    try:
        text = written[key].replace("£", "").replace(",", "").strip()
        value = (float(text) if text else 0.0) + int(way) * lever.step
    except ValueError:
        return found
    if math.isfinite(value):
        value = max(round(value, 9), 0.0)
        found[key] = text_of(lever, min(value, 1.0) if lever.unit == "share" else value)
    return found


def groups_of(levers: list[Lever], written: Mapping[str, str], faults: Mapping[str, Fault]) -> list[Row]:
    """Fields by heading, each with what is written, what the base has, and what is wrong with it."""
    groups: dict[str, list[Row]] = {}
    for lever in levers:
        text = written.get(lever.key, "")
        base = text_of(lever, lever.value)
        fault = faults.get(lever.key)
        groups.setdefault(lever.group, []).append(
            {
                "key": lever.key,
                "id": html_id(lever.key),
                "label": lever.label,
                "unit": "" if lever.unit in ("£", "share") else lever.unit.removeprefix("£").strip(),
                "pounds": lever.unit.startswith("£"),
                "text": text,
                "base_text": base,
                "base": lever.words(lever.value),
                "moved": text.strip() != base,
                "endless": lever.endless,
                "step": pounds(lever.step, 1) if lever.unit.startswith("£") else lever.words(lever.step),
                "fault": None if fault is None else f"{fault.value[:40]} {fault.rule}. {fault.fix}".strip(),
            }
        )
    blocks = {title for title, fields in groups.items() if fields[0]["key"].startswith(OF_CONTRACTS)}
    return [
        {
            "title": title,
            "fields": fields,
            # many blocks are folded up, but for what has been moved or is wrong
            "folded": title in blocks and len(blocks) > 2,
            "open": any(field["moved"] or field["fault"] for field in fields),
        }
        for title, fields in groups.items()
    ]
