"""The steps of a video's way from a camera to viewers, each a process: `video.py record`, `video.py fetch ITEM DIR`, …

An item is the file that it becomes, `.work/RUN/007.ts`; DIR is where it is worked on. ffmpeg does the work.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.request import urlopen

WORK = Path(".work")
ORIGIN = WORK / "origin"
RUN = os.environ["STAGEBOOK_RUN"]
#: Bytes a second that the origin sends on one connection: what makes fetching slow, and not the processor.
RATE = 2_000_000
SEGMENTS, SECONDS, FRAMES = int(os.environ["PARAM_SEGMENTS"]), int(os.environ["PARAM_SECONDS"]), 25
FFMPEG = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", "-filter_threads", "1"]


def record() -> None:
    """A test picture and a tone, cut into segments of equal length, on first use. Nothing is downloaded.

    Prints a line for each segment. It bears the run, so no run takes what another has made for its own.
    """
    made = ORIGIN / f"{SEGMENTS} of {SECONDS} s"
    if not made.exists():
        shutil.rmtree(ORIGIN, ignore_errors=True)
        ORIGIN.mkdir(parents=True)
        subprocess.run([
            *FFMPEG,
            "-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate={FRAMES}", "-f", "lavfi", "-i", "sine=frequency=440",
            "-t", str(SEGMENTS * SECONDS), "-c:v", "libx264", "-preset", "ultrafast", "-g", str(FRAMES),
            "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "segment", "-segment_time", str(SECONDS),
            "-reset_timestamps", "1", "-segment_start_number", "1", str(ORIGIN / "%03d.mp4"),
        ], check=True)  # fmt: skip
        made.touch()
    for path in sorted(ORIGIN.glob("*.mp4")):
        print(WORK / RUN / f"{path.stem}.ts")


class Slow(SimpleHTTPRequestHandler):
    """Sends files at a limited rate on each connection, as an origin far away does."""

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:  # type: ignore[override]
        sent, began = 0, time.monotonic()
        while data := source.read(1 << 14):
            outputfile.write(data)
            sent += len(data)
            time.sleep(max(0.0, began + sent / RATE - time.monotonic()))

    def log_message(self, format: str, *args: object) -> None:
        pass


def fetch(item: str, into: str) -> None:
    """By HTTP from an origin on a free port of this machine, which lives as long as this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *about: Slow(*about, directory=str(ORIGIN)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Path(into).mkdir(parents=True, exist_ok=True)
    with urlopen(f"http://127.0.0.1:{server.server_port}/{Path(item).stem}.mp4", timeout=30) as answer:
        Path(into, "source.mp4").write_bytes(answer.read())


def transcode(item: str, into: str) -> None:
    """Smaller, in the form that viewers take. One core: how many at once is the pipeline's business."""
    os.execvp("ffmpeg", [
        *FFMPEG, "-i", f"{into}/source.mp4", "-vf", "scale=640:360", "-c:v", "libx264", "-preset", "medium",
        "-g", str(FRAMES * SECONDS), "-threads", "1", "-c:a", "aac", f"{into}/small.ts",
    ])  # fmt: skip


def package(item: str, into: str) -> None:
    """One more entry of the playlist, whose time goes on where the one before it ends: the order matters."""
    playlist = Path(item).with_name("index.m3u8")
    if not playlist.exists():
        playlist.parent.mkdir(parents=True, exist_ok=True)
        playlist.write_text(f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SECONDS}\n#EXT-X-MEDIA-SEQUENCE:1\n")
    listed = playlist.read_text()
    if Path(item).name in listed:  # by a run that was killed before it could say so
        return
    begins = SECONDS * listed.count("#EXTINF")
    subprocess.run(
        [*FFMPEG, "-i", f"{into}/small.ts", "-c", "copy", "-muxdelay", "0", "-output_ts_offset", str(begins), item],
        check=True,
    )
    with open(playlist, "a") as file:
        file.write(f"#EXTINF:{SECONDS}.0,\n{Path(item).name}\n")


def check() -> None:
    """What a player would see: all of it, in order, with picture and sound."""
    playlist = WORK / RUN / "index.m3u8"
    listed = [line for line in playlist.read_text().splitlines() if not line.startswith("#")]
    assert listed == [f"{number:03}.ts" for number in range(1, SEGMENTS + 1)], listed
    with open(playlist, "a") as file:
        file.write("#EXT-X-ENDLIST\n")
    told = json.loads(subprocess.run(
        ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_name,nb_read_packets,height",
         "-show_entries", "format=duration", "-of", "json", playlist],
        check=True, stdout=subprocess.PIPE,
    ).stdout)  # fmt: skip
    by_codec = {stream["codec_name"]: stream for stream in told["streams"]}
    assert sorted(by_codec) == ["aac", "h264"], by_codec
    assert int(by_codec["h264"]["nb_read_packets"]) == SEGMENTS * SECONDS * FRAMES, told
    assert abs(float(told["format"]["duration"]) - SEGMENTS * SECONDS) < 0.1, told
    print(f"{playlist}: {SEGMENTS} segments, {SEGMENTS * SECONDS} s, {by_codec['h264']['height']} lines and sound")


if __name__ == "__main__":
    steps = {step.__name__: step for step in (record, fetch, transcode, package, check)}
    steps[sys.argv[1]](*sys.argv[2:])
