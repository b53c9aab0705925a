# Shared by scripts/demo and scripts/test: a virtual environment in .venv with this checkout installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The first of these Pythons that is 3.10 to 3.13; PYTHON=... chooses another.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      echo "$candidate"; return
    fi
  done
  fail "no Python 3.10 to 3.13 was found: install python3, or set PYTHON=/path/to/python3.11"
}

can_apt() { command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; }

# Install Debian packages when this user may; otherwise say exactly what to type.
apt_install() {
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo -n"
  if can_apt; then
    say "installing $* (apt)"
    $sudo apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >&2 && return
  fi
  printf 'missing: %s. Install with: sudo apt-get install %s\n' "$*" "$*" >&2
  return 1
}

# The programs that tests and benchmarks talk to; what cannot be installed is told.
test_programs() {
  local missing gst
  missing=()
  command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
  command -v ffmpeg >/dev/null || missing+=(ffmpeg)
  command -v chromium >/dev/null || missing+=(chromium)
  command -v systemd-analyze >/dev/null || missing+=(systemd)
  [ -e /usr/share/doc/opencv-doc/examples/data/vtest.avi ] || missing+=(opencv-doc)
  gst=(python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
       glib-networking openssl)
  /usr/bin/python3 - 2>/dev/null <<'EOF' || missing+=("${gst[@]}")
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, Gst, GstRtspServer
Gst.init(None)
needed = ("appsrc", "h264parse", "h265parse", "jpegparse", "rtph264pay", "rtph265pay", "rtpjpegpay", "rtpL16pay")
assert all(Gst.ElementFactory.find(name) for name in needed) and Gio.TlsBackend.get_default().supports_tls()
EOF
  ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || missing+=(libfaketime)
  if [ ${#missing[@]} -gt 0 ]; then
    apt_install "${missing[@]}" || say "the tests that need them are skipped, and say so"
  fi
}

# make_venv EXTRA: create .venv and install this checkout with an extra, again whenever pyproject.toml changed.
make_venv() {
  local extra=$1 python stamp wanted
  python=$(find_python)
  if [ ! -x .venv/bin/python ]; then
    say "making .venv"
    if ! "$python" -m venv .venv 2>/dev/null; then
      rm -rf .venv
      apt_install python3-venv || fail "the venv module is missing: install python3-venv"
      "$python" -m venv .venv
    fi
  fi
  stamp=.venv/.soteira-$extra
  wanted=$(cat pyproject.toml soteirad/__init__.py | cksum)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    say "installing soteirad[$extra] and what it needs"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$extra]" ||
      fail "pip could not install soteirad[$extra]: is the package index reachable?"
    echo "$wanted" > "$stamp"
  fi
}

# A model server for the tests, in an environment of its own: it pins versions of packages that Soteira uses too.
make_mlserver() {
  local wanted="mlserver==1.7.1 onnxruntime" stamp=.venv-mlserver/.soteira candidate
  [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
  for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
    "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null || continue
    say "making .venv-mlserver"
    # shellcheck disable=SC2086 - two requirements
    "$candidate" -m venv --clear .venv-mlserver &&
      .venv-mlserver/bin/python -m pip install --quiet --disable-pip-version-check $wanted || return 1
    echo "$wanted" > "$stamp"
    return 0
  done
  return 1
}
