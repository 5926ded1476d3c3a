# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the jobs have in common; a job reads it by `. /selftests/job.sh`. A job that waits does it by
# `once` or `said`: should it be out of time there, selftests/lab/tests tells what it waited for.

number=0

# evidence FILE...: what shows why, from here on: their ends are printed with a failure.
evidence() { evidence=$*; }

# waits WHAT [FILE]: what selftests/lab/tests finds when the time is up.
waits() { printf '%s\n%s\n' "$1" "$evidence ${2:-}" >/tmp/waiting; }

show() {
	for file in $evidence; do
		[ ! -f "$file" ] || tail -n 20 "$file" | cat -v | sed "s|^|# ${file##*/}: |"
	done
}

# result STATUS NAME
result() {
	number=$((number + 1))
	[ "$1" != 0 ] || { echo "ok $number $2"; return; }
	show
	echo "not ok $number $2"
}

# skip NAME REASON
skip() {
	number=$((number + 1))
	echo "ok $number $1 # SKIP $2"
}

# verdict NAME GOT WANTED-PATTERN
verdict() {
	number=$((number + 1))
	if echo "$2" | grep -aqE -e "$3"; then
		echo "ok $number $1"
		return
	fi
	echo "$2" | tail -n 20 | cat -v | sed 's/^/# got: /'
	echo "# wanted: $3"
	show
	echo "not ok $number $1"
}

# once COMMAND...: wait until it succeeds.
once() {
	waits "$*"
	until "$@" >/dev/null 2>&1; do usleep 50000; done
}

# said PATTERN FILE [PID]: wait until FILE has it; false: that process ended before.
said() {
	waits "'$1' in $2" "$2"
	until grep -aqE -e "$1" "$2"; do
		[ -z "$3" ] || kill -0 "$3" 2>/dev/null || return 1
		usleep 50000
	done
}
