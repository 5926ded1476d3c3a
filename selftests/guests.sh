#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The bare-metal guests under `posada run`: each says by the exit port whether
# all was as it should be (33), and on the serial line what it found.

TOOL=${POSADA:-posada}
GUESTS=${GUESTS:-/guest}
n=0
failed=0
# A small kernel may have no seccomp filters.
SANDBOX=
[ -e /proc/sys/kernel/seccomp ] || SANDBOX=--no-sandbox

if ! command -v "$TOOL" >/dev/null || [ ! -e "$GUESTS/hello.elf" ]; then
	echo "TAP version 13"
	echo "1..0 # SKIP no $TOOL or no guests in $GUESTS"
	exit 4
fi

# run NAME STATUS PATTERN ARGUMENTS...: one guest, its status, a line that it prints.
run() {
	name=$1 want=$2 pattern=$3
	shift 3
	n=$((n + 1))
	out=$("$TOOL" run $SANDBOX "$@" </dev/null 2>&1)
	status=$?
	if [ "$status" != "$want" ]; then
		echo "$out" | tail -n 20 | sed 's/^/# /'
		echo "# status $status, not $want"
	elif ! echo "$out" | grep -q "$pattern"; then
		echo "$out" | tail -n 20 | sed 's/^/# /'
		echo "# no line with '$pattern'"
	else
		echo "ok $n $name"
		return
	fi
	echo "not ok $n $name"
	failed=1
}

# same NAME GOT WANTED: two texts.
same() {
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n $1"
		return
	fi
	echo "$3" >/tmp/guests.wanted
	echo "$2" | diff /tmp/guests.wanted - | head -n 20 | sed 's/^/# /'
	echo "not ok $n $1"
	failed=1
}

echo "TAP version 13"
echo "1..15"
run hello_multiboot 33 "^hello by multiboot: .*one two" "$GUESTS/hello.elf" -a "one two"
run hello_pvh 33 "^hello by PVH: one two" --boot pvh "$GUESTS/hello.elf" -a "one two"
run exit_value 85 "exit=42" "$GUESTS/hello.elf" -a exit=42
run exit_zero 1 "exit=0" "$GUESTS/hello.elf" -a exit=0
run smp_1 33 "^1 CPUs" "$GUESTS/smp.elf"
run smp_2 33 "^2 CPUs" -c 2 "$GUESTS/smp.elf"
run smp_4 33 "^4 CPUs" -c 4 "$GUESTS/smp.elf"
run smp_16 33 "^16 CPUs" -c 16 -m 64M "$GUESTS/smp.elf"
run timer 33 "^periodic: [2-9][0-9]* ticks" "$GUESTS/timer.elf"
run mmio 33 "forms run, 0 failures" "$GUESTS/mmio.elf"
run little_memory 33 "^hello" -m 4M "$GUESTS/hello.elf"
run calls 33 "bells for 400 lines: few" "$GUESTS/calls.elf"
run calls_crash 33 "the guest reports a crash: these are.the last" "$GUESTS/calls.elf"

# Nothing of the ring is lost, doubled or out of order; what the tool itself says may come anywhere,
# and is left out. Input goes there with --console ring.
calls=$("$TOOL" run $SANDBOX "$GUESTS/calls.elf" </dev/null 2>/dev/null | grep -E "^(written|line|the last)")
wanted=$(echo "written at once"; seq -w 0 399 | sed 's/.*/line & of a burst/'; echo "the last of the ring")
same calls_ring "$calls" "$wanted"
same calls_input "$(echo "typed to the ring" | "$TOOL" run $SANDBOX --console ring --boot pvh "$GUESTS/calls.elf" -a echo 2>&1)" "typed to the ring"
exit $failed
