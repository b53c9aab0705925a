"""The commands about clips; no logic. `cli` has the others."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from soteirad.event import Event

DEFAULT_CONFIG = Path("/etc/soteira.yaml")
SERVER_HELP = "A server instead of the file's; its key, if any, is taken from SOTEIRA_LLM_KEY."
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def config_option(text: str) -> Any:
    """Return the option that names the configuration; a file that may not be read is told in our words, not typer's."""
    return typer.Option("--config", "-c", readable=False, help=text)


def replay(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIP...", help="Video files.")],
    config: Annotated[Path | None, config_option("Take settings from this file.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Take this camera's settings.")] = None,
    speed: Annotated[str, typer.Option("--speed", help="1 is real time; 10, any number, or max.")] = "max",
    every_frame: Annotated[bool, typer.Option("--every-frame", help="Look at every frame: the reference.")] = False,
    track: Annotated[str | None, typer.Option("--track", help="Labels to look for, with commas.")] = None,
    min_area: Annotated[float | None, typer.Option("--min-area", help="Smallest box, as a share.")] = None,
    fps: Annotated[float | None, typer.Option("--fps", help="Frames to analyse in a second; 0 is all.")] = None,
    as_json: JsonOption = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the events to this CSV file.")] = None,
    folder: Annotated[Path | None, typer.Option("--record", metavar="DIR", help="Keep each frame's signals.")] = None,
) -> None:
    """Play clips through the same pipeline as a camera and print their events."""
    from soteirad.tools.check import replay_camera
    from soteirad.tools.present import event_line, summary_table
    from soteirad.tools.replay import Play, replay_all, report, summed, write_csv

    labels = _words(track)
    overrides: dict[str, Any] = {"fps": fps, "track": labels, "min_area": min_area}
    plays = [Play(clip, *replay_camera(clip, config, camera, speed, overrides)) for clip in clips]

    def heading(play: Play) -> None:
        if len(plays) > 1 and not as_json:
            print(f"{play.clip}:", flush=True)

    def show(event: Event) -> None:
        if not as_json:
            print(event_line(event), flush=True)

    done = replay_all(plays, every_frame, folder, heading, show)
    if csv_file is not None:
        write_csv(csv_file, plays, done)
    if as_json:
        print(json.dumps(report(plays, done), indent=1))
    else:
        summary_table(done[0].summary if len(done) == 1 else summed([one.summary for one in done]))


def record(
    camera: Annotated[str, typer.Argument(help="The camera's name in the configuration.")],
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, max=1440, help="How long.")] = 10.0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file: .mp4, or .mkv.")] = None,
    max_size: Annotated[float | None, typer.Option("--max-size", min=0.1, help="Largest file, in megabytes.")] = None,
    detail: Annotated[bool, typer.Option("--detail", help="Record the detail stream.")] = False,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Even if there is a privacy_mask.")] = False,
    config: Annotated[Path, config_option("The configuration file.")] = DEFAULT_CONFIG,
) -> None:
    """Keep what a camera sends in a file, as it is, to replay it. Ctrl-C ends it and finishes the file."""
    from soteirad.tools.present import progress_of, recorded_lines
    from soteirad.tools.record import order
    from soteirad.tools.record import record as run_record

    what = order(config, camera, out, minutes, max_size, detail=detail, unmasked=unmasked)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with progress_of(camera, what.seconds) as told:
        done = run_record(what, stop, told.step, told.note)
    print("\n".join(recorded_lines(done)))


def ask(
    clip: Annotated[Path, typer.Argument(help="A video file.")],
    question: Annotated[str, typer.Option("--question", "-q", help="What to ask.")],
    answer: Annotated[Literal["yes_no", "number", "choice", "text"], typer.Option(help="The kind of answer.")] = "text",
    choices: Annotated[str | None, typer.Option(help="The possible answers of a choice, with commas.")] = None,
    on: Annotated[str, typer.Option(help="entered, left, scene_changed or interval; several with commas.")] = "entered",
    interval: Annotated[float | None, typer.Option(help="For --on interval: seconds between two.")] = None,
    frames: Annotated[int, typer.Option(min=1, max=4, help="Pictures that are sent.")] = 1,
    crop: Annotated[Literal["frame", "object"], typer.Option(help="The whole picture, or the object.")] = "frame",
    labels: Annotated[Path | None, typer.Option(help="A file of right answers: lines such as 12.5 yes.")] = None,
    config: Annotated[Path | None, config_option("Take llm and camera from this file.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Take this camera's settings.")] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help=SERVER_HELP)] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model on that server.")] = None,
    track: Annotated[str | None, typer.Option("--track", help="Labels to look for, with commas.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most questions to ask.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Try a question on the events of a recorded clip: answers, agreement with yours, calls and cost."""
    from soteirad.tools.ask import evaluate_question, llm_of, question_of, read_labels
    from soteirad.tools.check import replay_camera
    from soteirad.tools.present import answer_line, evaluation_lines

    moments = _words(on)
    when = {"on": moments} if interval is None else {"on": moments, "interval": interval}
    asked = question_of(question, answer, choices, when=when, frames=frames, crop=crop)
    llm = llm_of(config, base_url, model)
    expected = [] if labels is None else read_labels(labels, asked.answer)
    tracked = _words(track)
    name, settings = replay_camera(clip, config, camera, "max", {"track": tracked})
    show = (lambda _: None) if as_json else lambda row: print(answer_line(row), flush=True)
    found = evaluate_question(name, settings, asked, llm, expected, limit, show)
    print(json.dumps(found.document(), indent=1)) if as_json else print("\n".join(evaluation_lines(found)))
    raise typer.Exit(any(row.state == "failed" for row in found.rows))


def tune(
    clips: Annotated[list[Path], typer.Argument(help="Video files of the camera, each best a few minutes.")],
    labels: Annotated[list[Path] | None, typer.Option("--labels", help="Who enters, one file for each clip.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Tune this camera's settings.")] = None,
    config: Annotated[Path | None, config_option("Take settings from this file.")] = None,
    track: Annotated[str | None, typer.Option("--track", help="Labels to look for, with commas.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write a report with pictures to this file.")] = None,
    yaml: Annotated[Path | None, typer.Option("--yaml", help="Write the recommendations to this folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Try a hundred settings on recordings of a camera and recommend three of them."""
    from soteirad.report_page import check_report_place
    from soteirad.resources import cache_folder
    from soteirad.tune.crew import Crew
    from soteirad.tune.present import check_yaml_place, document, print_tuning, progress, write_yaml
    from soteirad.tune.report import write_report
    from soteirad.tune.run import Wish
    from soteirad.tune.run import tune as run_tuning
    from soteirad.tune.store import Store

    if out is not None:
        check_report_place(out)
    if yaml is not None:
        check_yaml_place(yaml)
    tracked = _words(track)
    cache = cache_folder()
    with contextlib.closing(Store(None if cache is None else cache / "tune")) as store:
        with progress(quiet=as_json) as step:
            found = run_tuning(Wish(clips, labels or (), config, camera, tracked), store, Crew(), step)
        if out is not None:
            write_report(out, found)
    if yaml is not None:
        write_yaml(yaml, found)
    print(json.dumps(document(found), indent=1)) if as_json else print_tuning(found)


def _words(text: str | None) -> list[str] | None:
    """Return what stands between commas."""
    return None if text is None else [word.strip() for word in text.split(",")]
