#!/bin/bash
# Makes the stream that `hlswarm demo` plays: 16 segments of 2 s, about 1 Mbit/s.
#
# The picture carries its own clock and frame number, so that a glance at a player tells whether
# anything was skipped. Timestamps begin anew with seg-00, hence a loop over the segments needs an
# EXT-X-DISCONTINUITY before each repetition. The bytes may differ between versions of ffmpeg;
# nothing depends on them.
set -euo pipefail
cd "$(dirname "$0")"
rm -f seg-*.ts
ffmpeg -nostdin -hide_banner -v error -y \
  -f lavfi -i testsrc2=size=640x360:rate=25 \
  -f lavfi -i sine=frequency=330:beep_factor=4:sample_rate=48000 -t 32 \
  -c:v libx264 -preset slow -pix_fmt yuv420p -profile:v main -threads 1 \
  -b:v 800k -maxrate 850k -bufsize 850k -g 50 -keyint_min 50 -sc_threshold 0 -flags +cgop+bitexact \
  -c:a aac -b:a 64k -ac 1 -fflags +bitexact \
  -f hls -hls_time 2 -hls_list_size 0 -hls_segment_filename 'seg-%02d.ts' index.tmp
rm index.tmp
