#!/bin/sh
# A player for tests: says what it was given, waits for a line, ends with the status in it.
printf '%s\n' "$@" end
read -r status
exit "$status"
