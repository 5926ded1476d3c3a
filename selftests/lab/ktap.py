# SPDX-License-Identifier: GPL-2.0
"""Results: read them from KTAP, print them, count them."""

import re
import threading

RESULT = re.compile(r"^(not )?ok\b *(\d+)? *(?:- *)?(.*?)(?:\s+# *(SKIP|TODO|XFAIL)\b *(.*))?$")
PLAN = re.compile(r"^1\.\.(\d+)(?:\s*# *SKIP *(.*))?$")

# How many of the lines that explain a failure the summary prints again: the end of a long log is
# often all that is kept of it.
SHOWN_AGAIN = 24


class Results:
    """What ran, in one list that several threads may add to."""

    def __init__(self):
        self.rows = []
        self.lock = threading.Lock()

    def add(self, verdict, name, note="", lines=()):
        """Verdict is ok, fail or skip; the lines explain a failure."""
        with self.lock:
            self.rows.append((verdict, name, note, lines[-SHOWN_AGAIN:]))
            number = len(self.rows)
            text = f"{'not ok' if verdict == 'fail' else 'ok'} {number} {name}"
            if verdict == "skip":
                text += f" # SKIP {note}"
            elif note:
                text += f" # {note}"
            print("\n".join([f"# {line}" for line in lines] + [text]), flush=True)

    def count(self, verdict):
        return sum(1 for row in self.rows if row[0] == verdict)

    def failed(self):
        return [row for row in self.rows if row[0] == "fail"]

    def finish(self):
        """Print the summary; return the exit status."""
        passed, failed, skipped = (self.count(v) for v in ("ok", "fail", "skip"))
        for verdict, title in (("skip", "Skipped"), ("fail", "Failed")):
            rows = [row for row in self.rows if row[0] == verdict]
            if rows:
                print(f"# {title}:")
            for _, name, note, lines in rows:
                print(f"#   {name}{': ' + note if note else ''}")
                for line in lines:
                    print(f"#     {line}")
        print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
        return 1 if failed or not passed else 0


def read_program(name, text, status, results):
    """Add the results of one test program, and one more where it broke its own promises.

    Only lines at the left edge count: indented ones are subtests of the next of these.
    """
    plan = None
    seen = 0
    failed = 0
    notes = []
    for line in text.splitlines():
        line = line.rstrip("\r")
        match = PLAN.match(line)
        if match:
            plan = int(match.group(1))
            if plan == 0 and match.group(2) is not None:
                results.add("skip", name, match.group(2) or "no reason given")
                return
            continue
        match = RESULT.match(line)
        if not match:
            if line.strip() and not line.startswith(("KTAP version", "TAP version")):
                notes.append(line.removeprefix("# "))
            continue
        seen += 1
        bad, _, what, directive, reason = match.groups()
        label = f"{name}: {what}" if what else f"{name}: {seen}"
        if directive:
            results.add("skip", label, reason or "no reason given")
        elif bad:
            failed += 1
            results.add("fail", label, lines=notes)
        else:
            results.add("ok", label)
        notes = []
    if status == 4 and not seen:
        results.add("skip", name, notes[-1] if notes else "no reason given")
    elif status not in (0, 4) and not failed:
        how = {137: "killed, out of time", 139: "crashed"}.get(status, f"exit status {status}")
        results.add("fail", name, how, notes[-30:])
    elif plan is None:
        results.add("fail", name, "printed no plan", notes[-30:])
    elif plan != seen:
        results.add("fail", name, f"planned {plan} results, gave {seen}", notes[-30:])
