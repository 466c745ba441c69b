"""What weir wrote down of a job, compared with what the tools wrote down themselves.

A tool of `cases/crash.py` leaves a witness outside of weir when it starts: a line in the data server's access log, with
its job, its step and the uid of the pod that it runs in, which it reads from its own mounts.
"""
import collections
import dataclasses
import datetime
import json
import re

# `/first/0/503/WORD/` of the data server: nothing fails, and WORD is in its log.
LINE = re.compile(r'(\S+) \S+ GET "/first/0/503/witness~([^~"]+)~([^~"]+)~([0-9a-f-]{36})/" "-" 200 ')

# Milliseconds by which the log's clock and the journal's may differ: it is one clock, and a record's time is taken before.
SKEW_MS = 5


@dataclasses.dataclass(frozen=True)
class Witness:
    """A tool ran: when (ms since 1970), for which job and step, in the pod with which uid."""

    at: int
    job: str
    step: str
    uid: str


def witnesses(log):
    """All witnesses of an access log, by job."""
    found = collections.defaultdict(list)
    for line in log.splitlines():
        if match := LINE.match(line):
            time, job, step, uid = match.groups()
            found[job].append(Witness(milliseconds(time), job, step, uid))
    return found


def milliseconds(time):
    """Go writes nanoseconds and leaves out zeros at the end, Python reads six digits."""
    second, _, fraction = time.removesuffix("Z").partition(".")
    moment = datetime.datetime.fromisoformat(second).replace(tzinfo=datetime.timezone.utc)
    return int(moment.timestamp()) * 1000 + int((fraction + "000")[:3])


def journal(objects):
    """The events of a journal's objects, in order. ValueError if a segment is missing or cut."""
    segments = {}
    for text in objects:
        lines = collections.deque(text.decode().splitlines())
        while lines:
            header = json.loads(lines.popleft())
            if len(lines) < header["events"]:
                raise ValueError(f"segment {header['segment']} is cut")
            events = [json.loads(lines.popleft()) for _ in range(header["events"])]
            # A pack and what is left of its segments say the same.
            if segments.setdefault(header["segment"], events) != events:
                raise ValueError(f"two different segments {header['segment']}")
    if sorted(segments) != list(range(len(segments))):
        raise ValueError(f"segments {sorted(segments)}")
    return [event for number in sorted(segments) for event in segments[number]]


def complaints(events, seen):
    """All that contradicts: one execution a claim, one success an instance, and none of it again."""
    wrong = []
    if not events or events[0]["event"] != "Accepted" or events[-1]["event"] != "Finished":
        wrong.append(f"it goes from {events[:1]} to {events[-1:]}")
    if len([one for one in events if one["event"] in ("Accepted", "Finished")]) != 2:
        wrong.append("it begins or ends twice")
    epochs = [one["epoch"] for one in events if one["event"] == "Epoch"]
    if any(after <= before for before, after in zip(epochs, epochs[1:])) or not epochs:
        wrong.append(f"epochs {epochs}")
    wrong += complaints_of_incarnations(events)
    wrong += complaints_of_witnesses(events, seen)
    return wrong


def complaints_of_incarnations(events):
    """Numbers are given once, claimed once, ended once, in this order; nothing starts after its instance's success."""
    wrong = []
    reserved, started, claimed, ended, succeeded = set(), {}, {}, set(), set()
    for one in events:
        kind, number = one["event"], one.get("incarnation")
        match kind:
            case "Prepared":
                if number in reserved or number in started:
                    wrong.append(f"incarnation {number} is reserved again")
                reserved.add(number)
            case "StartAttempt":
                if number in started:
                    wrong.append(f"incarnation {number} is used again")
                if one["instance"] in succeeded:
                    wrong.append(f"{one['instance']} starts again after its success")
                started[number] = one["instance"]
            case "Released":
                if number not in reserved or number in started:
                    wrong.append(f"incarnation {number} is released and no spare")
            case "Claimed":
                if number in claimed or number in ended or number not in started:
                    wrong.append(f"incarnation {number} is claimed out of turn")
                claimed[number] = one["uid"]
            case "Ended":
                if number in ended or number not in started:
                    wrong.append(f"incarnation {number} ends out of turn")
                ended.add(number)
                if one["outcome"].get("outputs") is not None:
                    if number not in claimed:
                        wrong.append(f"incarnation {number} succeeds without a claim")
                    if started.get(number) in succeeded:
                        wrong.append(f"{started[number]} succeeds twice")
                    succeeded.add(started.get(number))
    uids = collections.Counter(claimed.values())
    wrong += [f"pod {uid} has claimed {count} incarnations" for uid, count in uids.items() if count > 1]
    wrong += [f"{instance} never succeeded" for instance in set(started.values()) - succeeded]
    wrong += [f"incarnation {number} has no end" for number in started.keys() - ended]
    return wrong


def complaints_of_witnesses(events, seen):
    """At most one execution a claim, after it and before its end; exactly one where the end is a success."""
    wrong = []
    instance = {one["incarnation"]: one["instance"] for one in events if one["event"] == "StartAttempt"}
    claim = {one["uid"]: one for one in events if one["event"] == "Claimed"}
    end = {one["incarnation"]: one for one in events if one["event"] == "Ended"}
    runs = collections.Counter(witness.uid for witness in seen)
    wrong += [f"the tool ran {count} times in pod {uid}" for uid, count in runs.items() if count > 1]
    success = {instance.get(number): one["at"] for number, one in end.items() if one["outcome"].get("outputs") is not None}
    for witness in seen:
        record = claim.get(witness.uid)
        if record is None:
            wrong.append(f"a tool ran in pod {witness.uid}, which has no claim")
            continue
        if instance.get(record["incarnation"]) != witness.step:
            wrong.append(f"pod {witness.uid} ran {witness.step}, claimed {instance.get(record['incarnation'])}")
        if witness.at + SKEW_MS < record["at"]:
            wrong.append(f"pod {witness.uid} ran before its claim")
        if witness.at > success.get(witness.step, witness.at) + SKEW_MS:
            wrong.append(f"{witness.step} ran after its success, in pod {witness.uid}")
    for uid, record in claim.items():
        ending = end.get(record["incarnation"])
        if ending and ending["outcome"].get("outputs") is not None and not runs[uid]:
            wrong.append(f"incarnation {record['incarnation']} succeeded, and no tool ran in pod {uid}")
    return wrong
