"""What FFmpeg may do for a source: which protocols, containers and codecs. What a camera sends is not to be trusted.

Without limits a playlist in place of a picture makes FFmpeg fetch other addresses, a redirect sends it anywhere, and
each of its several hundred demuxers and decoders can be chosen by who answers.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from soteirad.config.address import scheme_of

FILE_LIMITS = {"protocol_whitelist": "file"}
"""FFmpeg's options for a file: whatever it says, nothing of the network is opened for it."""
HTTP_FORMATS = ("mpjpeg", "mjpeg", "jpeg_pipe", "png_pipe", "image2", "mpegts", "flv", "live_flv", "mp4", "matroska",
                "h264", "hevc")  # fmt: skip
"""Containers that cameras and what stands before them send over HTTP; none of them names another address."""
CODECS = ("h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mjpeg", "png")
"""Decoders of video that cameras send."""
_SOUND = ("aac", "mp3", "mp3float", "mp2", "mp2float", "opus", "libopus", "pcm_alaw", "pcm_mulaw", "pcm_s16be",
          "pcm_s16le", "adpcm_g726", "g726le")  # fmt: skip
"""Decoders of sound that comes with it: never decoded, but the container's probe takes longer without them."""
MOST_PIXELS = 40_000_000
"""Of a frame; 8K has 33 million. A picture of 750 kB can be one of 256 million, which take 1.5 GB (measured)."""
_PLAYLIST = ".m3u8"


def network_limits(url: str) -> dict[str, str]:
    """Return FFmpeg's options that hold a camera's address (rtsp, rtsps, http, https) to what a camera does.

    A playlist (HLS) is followed only if its owner wrote the address of one; then other addresses of HTTP are, too.
    """
    if scheme_of(url).startswith("rtsp"):
        # Without rtsp itself: FFmpeg looks for it only when a camera sends us elsewhere.
        protocols, formats = ("tcp", "tls", "udp", "rtp"), ("rtsp",)
        further = {}
    else:
        playlist = urlsplit(url).path.lower().endswith(_PLAYLIST)
        protocols = ("http", "https", "tcp", "tls", *(("crypto",) if playlist else ()))
        formats = (*HTTP_FORMATS, *(("hls",) if playlist else ()))
        further = {"max_redirects": "0"}
    return {"protocol_whitelist": ",".join(protocols), "format_whitelist": ",".join(formats),
            "codec_whitelist": ",".join((*CODECS, *_SOUND)), "max_pixels": str(MOST_PIXELS), **further}  # fmt: skip
