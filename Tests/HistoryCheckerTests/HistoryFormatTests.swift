// Histories as files, and as invocations and completions.

import HistoryChecker
import Testing

private func event(
    _ kind: HistoryEvent.Kind, _ function: HistoryEvent.Function, _ value: String?, _ time: Int64,
    process: String = "1", key: String = "k"
) -> HistoryEvent {
    HistoryEvent(
        process: process, kind: kind, function: function, key: key, value: value, timeNanoseconds: time)
}

@Suite("A history's file")
struct HistoryFormatTests {
    @Test("is read back as it was written, whatever the texts contain")
    func roundTrip() throws {
        let texts = ["plain", "", "a \"quoted\" \\ one", "line\nbreak\tand\u{1}control", "größer 漢字 😀", "/"]
        let events = texts.enumerated().flatMap { number, text in
            [
                event(.invoke, .write, text, Int64(number), process: "\(number)", key: text),
                event(.ok, .write, nil, .max, process: "client \(text)", key: text),
                event(.info, .delete, nil, -5, process: "-7"),
            ]
        }
        let file = events.map { $0.line + "\n" }.joined()
        #expect(try HistoryEvent.parse(Array(file.utf8)) == events)
        #expect(events[0].line.hasPrefix("{\"process\":0,"))
    }

    @Test("may have spaces, empty lines, numbered processes and escapes")
    func lenience() throws {
        let file = """

             { "time" : 5 , "process":3,"type":"ok","f":"read","key":"\\u006b\\ud83d\\ude00","value":null }\r

            {"process":"3","type":"fail","f":"read","key":"k","time":6}
            """
        let events = try HistoryEvent.parse(Array(file.utf8))
        #expect(
            events == [
                event(.ok, .read, nil, 5, process: "3", key: "k😀"), event(.fail, .read, nil, 6, process: "3"),
            ])
    }

    @Test(
        "is refused with the line that is wrong",
        arguments: [
            "x", "{", "{}", "[]", "{\"process\":1}",
            "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":null,\"time\":1} x",
            "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":null,\"time\":1.5}",
            "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":null,\"time\":99999999999999999999}",
            "{\"process\":1,\"type\":\"okay\",\"f\":\"read\",\"key\":\"k\",\"value\":null,\"time\":1}",
            "{\"process\":1,\"type\":\"ok\",\"f\":\"cas\",\"key\":\"k\",\"value\":null,\"time\":1}",
            "{\"process\":null,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":null,\"time\":1}",
            "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":7,\"time\":1}",
            "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":null,\"time\":1,\"more\":1}",
            "{\"process\":1,\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":null,\"time\":1}",
            "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"\\ud800\",\"value\":null,\"time\":1}",
            "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":null,\"time\":1,}",
            "{\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":nul",
        ])
    func strictness(line: String) {
        let good = event(.invoke, .read, nil, 1).line
        let error = #expect(throws: HistoryFormatError.self) {
            try HistoryEvent.parse(Array("\(good)\n\(line)\n\(good)".utf8))
        }
        #expect(error?.line == 2 && error?.reason.isEmpty == false)
    }

    @Test("is refused when it is cut off anywhere within a line")
    func truncation() {
        let line = Array(event(.invoke, .write, "value \"x\"", 12).line.utf8)
        for count in 1..<line.count {
            #expect(throws: HistoryFormatError.self, "\(count) bytes") { try HistoryEvent.parse(line[..<count]) }
        }
    }

    @Test("gives the operations that its events describe")
    func pairing() throws {
        let operations = try HistoryOperation.pair([
            event(.invoke, .write, "a", 1, process: "1"), event(.invoke, .read, nil, 2, process: "2"),
            event(.ok, .write, nil, 3, process: "1"), event(.ok, .read, "a", 4, process: "2"),
            event(.invoke, .delete, nil, 5, process: "1"), event(.info, .delete, nil, 6, process: "1"),
            event(.invoke, .write, "b", 7, process: "2"), event(.fail, .write, "b", 8, process: "2"),
            event(.invoke, .read, nil, 9, process: "3"),
        ])
        #expect(operations.map(\.function) == [.write, .read, .delete, .write, .read])
        #expect(operations.map(\.value) == ["a", "a", nil, "b", nil])
        #expect(
            operations.map(\.outcome) == [
                .ok(atNanoseconds: 3), .ok(atNanoseconds: 4), .unknown, .failed(atNanoseconds: 8), .unknown,
            ])
        let statistics = HistoryChecker().check(operations).statistics
        #expect((statistics.oks, statistics.fails, statistics.infos) == (2, 1, 2))
        #expect((statistics.reads, statistics.writes, statistics.deletions) == (2, 2, 1))
        #expect((statistics.processes, statistics.keys, statistics.durationNanoseconds) == (3, 1, 8))
    }

    @Test("whose events do not fit together is refused with the event that is wrong")
    func misfits() {
        let write = event(.invoke, .write, "a", 1)
        let misfits: [([HistoryEvent], HistoryError)] = [
            ([write, event(.invoke, .read, nil, 2)], .stillOpen(process: "1", event: 1)),
            ([event(.ok, .read, nil, 1)], .notOpen(process: "1", event: 0)),
            ([write, event(.ok, .read, nil, 2)], .mismatch(process: "1", event: 1)),
            ([write, event(.ok, .write, "b", 2)], .mismatch(process: "1", event: 1)),
            ([write, event(.ok, .write, "a", 2, key: "other")], .mismatch(process: "1", event: 1)),
            (
                [write, event(.info, .write, nil, 2), event(.invoke, .read, nil, 3)],
                .reusedAfterInfo(process: "1", event: 2)
            ),
            ([write, event(.ok, .write, nil, 0)], .timeRunsBackwards(process: "1", event: 1)),
            ([event(.invoke, .write, nil, 1)], .unfittingValue(process: "1", event: 0)),
            ([event(.invoke, .delete, "a", 1)], .unfittingValue(process: "1", event: 0)),
        ]
        for (events, error) in misfits {
            #expect(throws: error) { try HistoryChecker().check(events: events) }
        }
    }
}
