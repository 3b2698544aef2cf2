#!/bin/bash
# Makes the small streams beside it. They are committed, so that the tests run without ffmpeg.
#
# Every stream is 8 s long in segments of 2 s. The directory is meant to be the root of an origin:
# multi/master.m3u8 names one variant relatively and one from the root. The AES key is of course
# no secret.
set -euo pipefail
cd "$(dirname "$0")"

make() { # directory, further options of ffmpeg's HLS muxer
  local directory=$1
  shift
  mkdir -p "$directory"
  rm -f "$directory"/*.{ts,m4s,mp4,m3u8}
  (
    cd "$directory"
    ffmpeg -nostdin -hide_banner -v error -y \
      -f lavfi -i testsrc2=size=320x180:rate=25 \
      -f lavfi -i sine=frequency=330:beep_factor=4:sample_rate=48000 -t 8 \
      -c:v libx264 -preset slow -pix_fmt yuv420p -profile:v main -threads 1 \
      -b:v 130k -maxrate 150k -bufsize 150k -g 50 -keyint_min 50 -sc_threshold 0 \
      -flags +cgop+bitexact -c:a aac -b:a 32k -ac 1 -fflags +bitexact \
      -f hls -hls_time 2 -hls_list_size 0 -hls_playlist_type vod "$@" index.m3u8
  )
}

make ts -hls_segment_filename 'seg-%d.ts'
make fmp4 -hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4 -hls_segment_filename 'seg-%d.m4s'
make byterange -hls_flags single_file -hls_segment_filename all.ts

mkdir -p aes
printf '\x10\x32\x54\x76\x98\xba\xdc\xfe\x01\x23\x45\x67\x89\xab\xcd\xef' >aes/key.bin
info=$(mktemp)
trap 'rm -f "$info"' EXIT
printf 'key.bin\nkey.bin\n' >"$info"
make aes -hls_key_info_file "$info" -hls_segment_filename 'seg-%d.ts'

mkdir -p multi
cat >multi/master.m3u8 <<'END'
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=260000,AVERAGE-BANDWIDTH=210000,RESOLUTION=320x180,CODECS="avc1.4d400c,mp4a.40.2"
../ts/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=280000,AVERAGE-BANDWIDTH=200000,RESOLUTION=320x180,CODECS="avc1.4d400c,mp4a.40.2"
/fmp4/index.m3u8
END
