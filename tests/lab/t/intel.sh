#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The Intel machine: what `run` makes of a command's end there, and what comes
# along in its image. Few boots, as each takes some 16 seconds of a processor.
# timeout: 600

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work/err")

ends_with() {	# STATUS RUN-ARGUMENTS...
	local wanted=$1 got=0

	shift
	"$lab/run" --vendor intel --no-modules "$@" >"$work/out" 2>"$work/err" || got=$?
	echo "# status $got"
	[ "$got" = "$wanted" ]
}

carried() { "$lab/carry" "$@" 2>/dev/null >"$work/carried"; }

echo "1..9"
printf '#!/bin/sh\necho "<$1> $WORD"; cat %q; echo to stderr >&2; exit 7\n' "$work/data" >"$work/script"
echo "some data" >"$work/data"
mkdir "$work/folder"
echo "in a folder" >"$work/folder/file"
ln -s folder "$work/link"
chmod 755 "$work/script"

carried --scan "$work/script 'a  b'"
verdict "a script brings what it names" grep -q "$work/data" "$work/carried"
verdict "and its interpreter, with libraries" grep -q '/libc\.so\.6$' "$work/carried"
carried "$work/link/file"
verdict "symbolic links on the way stay" eval 'grep -q "$work/link$" "$work/carried" && grep -q "$work/folder/file$" "$work/carried"'

verdict "the command's status" ends_with 7 --timeout 300 --carry "$work/folder" --env 'WORD=x  y' -- \
	bash -c "cat $work/folder/file; exec $work/script 'a  b'"
verdict "its output" [ "$(cat "$work/out")" = $'in a folder\n<a  b> x  y\nsome data' ]
verdict "its errors" grep -q '^to stderr$' "$work/err"
verdict "a warning in the log fails a command that succeeds" ends_with 99 --timeout 300 -- \
	sh -c 'echo "<4>WARNING: CPU: 0 PID: 1 at a test" >/dev/kmsg'
LAB_FACTOR=100 verdict "no end in time" ends_with 124 --timeout 5 -- true
verdict "no terminal" ends_with 2 --interactive -- true
exit "$tap_failed"
