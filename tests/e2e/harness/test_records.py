"""Tests of the proof itself: each doctored record must be found out."""
import copy
import json
import unittest

from .records import Witness, complaints, journal, milliseconds, witnesses

A, B, C = (letter * 8 + "-0000-0000-0000-000000000000" for letter in "abc")


def good():
    """Two steps; the first pod of the second is lost after its tool ran; a new leader in between."""
    done, lost = {"outputs": {}, "usage": {}}, {"failure": {"class": "Preempted", "message": ""}, "usage": {}}
    events = [
        {"event": "Accepted", "spec": {}}, {"event": "Epoch", "epoch": 1},
        {"event": "StartAttempt", "instance": "first", "incarnation": 1}, {"event": "Claimed", "incarnation": 1, "uid": A},
        {"event": "Prepared", "incarnation": 2, "place": "second"},
        {"event": "Ended", "incarnation": 1, "outcome": done},
        {"event": "StartAttempt", "instance": "second", "incarnation": 2}, {"event": "Claimed", "incarnation": 2, "uid": B},
        {"event": "Epoch", "epoch": 2}, {"event": "Ended", "incarnation": 2, "outcome": lost},
        {"event": "StartAttempt", "instance": "second", "incarnation": 3}, {"event": "Claimed", "incarnation": 3, "uid": C},
        {"event": "Ended", "incarnation": 3, "outcome": done}, {"event": "Finished", "phase": "Successful"},
    ]
    events = [{"at": 1000 * at, **event} for at, event in enumerate(events)]
    return events, [Witness(3500, "j", "first", A), Witness(7500, "j", "second", B), Witness(11500, "j", "second", C)]


class Records(unittest.TestCase):
    def complaint(self, doctor):
        events, seen = copy.deepcopy(good())
        doctor(events, seen)
        return " ".join(complaints(events, seen))

    def test_a_true_record_is_true(self):
        self.assertEqual(complaints(*good()), [])

    def test_doctored_journals_are_found_out(self):
        doctored = {
            "it goes from": lambda events, _: events.pop(),
            "begins or ends twice": lambda events, _: events.append(events[-1]),
            "epochs [1, 1]": lambda events, _: events[8].update(epoch=1),
            "is used again": lambda events, _: events[10].update(incarnation=2),
            "first starts again": lambda events, _: events[10].update(instance="first"),
            "is reserved again": lambda events, _: events.insert(5, events[4]),
            "2 is claimed out of turn": lambda events, _: events.insert(8, events[7]),
            "3 ends out of turn": lambda events, _: events.insert(13, events[12]),
            "succeeds twice": lambda events, _: events[9].update(outcome=events[5]["outcome"]),
            "succeeds without a claim": lambda events, _: events.pop(11),
            "second never succeeded": lambda events, _: events[12].update(outcome=events[9]["outcome"]),
            "has claimed 2 incarnations": lambda events, _: events[11].update(uid=B),
            "incarnation 2 has no end": lambda events, _: events.pop(9),
        }
        for complaint, doctor in doctored.items():
            self.assertIn(complaint, self.complaint(doctor))

    def test_doctored_witnesses_are_found_out(self):
        doctored = {
            "ran 2 times in pod " + B: lambda _, seen: seen.append(Witness(7600, "j", "second", B)),
            "which has no claim": lambda _, seen: seen.append(Witness(7600, "j", "second", A[::-1])),
            "ran second, claimed first": lambda _, seen: seen.__setitem__(0, Witness(3500, "j", "second", A)),
            "ran before its claim": lambda _, seen: seen.__setitem__(0, Witness(2500, "j", "first", A)),
            "first ran after its success": lambda _, seen: seen.__setitem__(0, Witness(6500, "j", "first", A)),
            "no tool ran in pod " + A: lambda _, seen: seen.pop(0),
        }
        for complaint, doctor in doctored.items():
            self.assertIn(complaint, self.complaint(doctor))

    def test_the_access_log_is_read(self):
        line = '2026-11-22T05:00:01.02Z 10.244.1.7 GET "/first/0/503/witness~job-1~first~%s/" "-" 200 31' % A
        other = '2026-11-22T05:00:01Z 10.244.1.7 GET "/olinda/x.tif" "bytes=0-9" 206 10'
        self.assertEqual(witnesses(f"{line}\n{other}\n"), {"job-1": [Witness(1795323601020, "job-1", "first", A)]})
        self.assertEqual(milliseconds("2026-11-22T05:00:01.123456789Z") % 1000, 123)

    def test_a_journal_is_read_from_segments_and_packs(self):
        def segment(number, *events):
            return b"".join(json.dumps(line).encode() + b"\n" for line in [{"segment": number, "events": len(events)}, *events])
        self.assertEqual(journal([segment(2, 5), segment(0, 1, 2) + segment(1, 3), segment(1, 3)]), [1, 2, 3, 5])
        with self.assertRaises(ValueError):
            journal([segment(0, 1), segment(2, 2)])
        with self.assertRaises(ValueError):
            journal([segment(0, 1), segment(0, 2)])
