#!/bin/bash
# Installs what the player tests need: players, an origin server, some npm packages, and an FFmpeg
# newer than Debian's.
#
# Idempotent: nothing is fetched when everything is there. Needs root only when a Debian package
# is missing. What is not Debian's goes to target/players, never into the system.
set -euo pipefail
cd "$(dirname "$0")/.."

# command or file:package - a present command of any provenance is as good as Debian's own.
wanted=(
  ffmpeg:ffmpeg mpv:mpv cvlc:vlc nginx:nginx-light chromium:chromium
  node:nodejs npm:npm ps:procps ss:iproute2 setpriv:util-linux
  gst-launch-1.0:gstreamer1.0-tools streamlink:streamlink openssl:openssl
  kodi:kodi /usr/share/kodi/addons/inputstream.adaptive:kodi-inputstream-adaptive
  Xvfb:xvfb pulseaudio:pulseaudio pip3:python3-pip
)
# What GStreamer cannot do without its plugins: HLS, MPEG-TS, MP4, H.264 and AAC.
plugins=(
  playbin3:gstreamer1.0-plugins-base qtdemux:gstreamer1.0-plugins-good
  hlsdemux2:gstreamer1.0-plugins-good souphttpsrc:gstreamer1.0-plugins-good
  tsdemux:gstreamer1.0-plugins-bad h264parse:gstreamer1.0-plugins-bad
  avdec_h264:gstreamer1.0-libav
)
missing=()
for pair in "${wanted[@]}"; do
  # Debian keeps nginx in a directory that is not on every user's path.
  PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null || [ -e "${pair%%:*}" ] ||
    missing+=("${pair##*:}")
done
for pair in "${plugins[@]}"; do
  gst-inspect-1.0 --exists "${pair%%:*}" 2>/dev/null || missing+=("${pair##*:}")
done

if [ "${#missing[@]}" -gt 0 ]; then
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
  echo "installing ${missing[*]}"
  # Exit status 101 here keeps the packages from starting services (nginx would take port 80).
  policy=/usr/sbin/policy-rc.d
  placed=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod 755 "$policy"
    placed=yes
  fi
  trap '[ -z "$placed" ] || "${sudo[@]}" rm -f "$policy"' EXIT
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "${missing[@]}" >/dev/null
fi

own_dir=target/players
npm_wanted='hls.js@1.6.13 bittorrent-tracker@11.2.3'
if [ "$(cat "$own_dir/installed" 2>/dev/null)" != "$npm_wanted" ]; then
  echo "installing $npm_wanted into $own_dir"
  mkdir -p "$own_dir"
  [ -e "$own_dir/package.json" ] || echo '{"private":true,"type":"module"}' >"$own_dir/package.json"
  # Without install scripts: an optional native WebRTC dependency of the tracker does not build,
  # and its server does not need it.
  # shellcheck disable=SC2086 # one argument per package
  npm install --prefix "$own_dir" --ignore-scripts --omit=optional --no-audit --no-fund \
    --silent $npm_wanted
  echo "$npm_wanted" >"$own_dir/installed"
fi

# Each version of p2p-media-loader for itself: they bring the same packages in different versions.
for version in 2.2.2 2.3.1; do
  own_pml=$own_dir/pml-$version
  if [ ! -e "$own_pml/installed" ]; then
    echo "installing p2p-media-loader $version into $own_pml"
    mkdir -p "$own_pml"
    [ -e "$own_pml/package.json" ] || echo '{"private":true}' >"$own_pml/package.json"
    npm install --prefix "$own_pml" --ignore-scripts --omit=optional --legacy-peer-deps --no-audit \
      --no-fund --silent "p2p-media-loader-hlsjs@$version" "p2p-media-loader-core@$version"
    touch "$own_pml/installed"
  fi
done

# A tracker in Rust. How fast it is does not matter here, how fast it builds does.
aquatic_version=0.9.0
if [ "$("$own_dir/bin/aquatic_ws" --version 2>/dev/null)" != "$aquatic_version" ]; then
  echo "installing aquatic_ws $aquatic_version into $own_dir"
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_DEBUG=0 \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TARGET_DIR="$own_dir/aquatic" \
    cargo install --quiet --locked --no-default-features --root "$own_dir" \
    --version "$aquatic_version" aquatic_ws
  rm -rf "$own_dir/aquatic"
fi

# FFmpeg 9, which refuses segments for their extensions where Debian's does not yet.
pip_wanted='imageio-ffmpeg==0.8.1'
if [ "$(cat "$own_dir/pip-installed" 2>/dev/null)" != "$pip_wanted" ]; then
  echo "installing $pip_wanted into $own_dir"
  pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --upgrade \
    --target "$own_dir/python" "$pip_wanted"
  (cd "$own_dir" && ln -sf python/imageio_ffmpeg/binaries/ffmpeg-* ffmpeg9)
  echo "$pip_wanted" >"$own_dir/pip-installed"
fi
echo "players: all installed"
