"""The floor: a process that decodes a file or a stream with PyAV on one thread, at its own pace, and does nothing else.

    python -m benchmarks.decode_only SOURCE [--fast]

Prints one line when the first frame is there. With --fast a file is decoded as fast as it goes, once, and only the
processor seconds and the number of frames are printed as JSON at the end.
"""

from __future__ import annotations

import argparse
import json
import time

import av


def main() -> None:
    """Decode what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    live = "://" in arguments.source
    options = {"rtsp_transport": "tcp", "flags": "low_delay"} if live else {}
    with av.open(arguments.source, options=options) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        frames = container.decode(stream)
        next(frames)
        if not arguments.fast:
            print("decoding", flush=True)
        began, cpu, count = time.monotonic(), time.process_time(), 1
        for frame in frames:
            count += 1
            if not live and not arguments.fast:
                time.sleep(max(0.0, began + float(frame.time or 0.0) - time.monotonic()))
    if arguments.fast:
        print(json.dumps({"cpu_s": time.process_time() - cpu, "frames": count}))


if __name__ == "__main__":
    main()
