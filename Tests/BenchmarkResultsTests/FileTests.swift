// Sizes and lists as people write them, results as programs read them.

import BenchmarkResults
import Foundation
import QuorumProtocol
import Testing

@Suite("Command line values")
struct CommandLineValueTests {
    @Test(
        "sizes have binary units",
        arguments: [
            ("4KiB", 4096), ("1MiB", 1 << 20), ("512", 512), ("7B", 7), ("1536KiB", 1536 << 10), ("8GiB", 8 << 30),
        ])
    func size(text: String, bytes: Int) throws {
        let size = try #require(ByteSize(text))
        #expect(size.bytes == bytes)
        #expect(ByteSize(size.description) == size)
    }

    @Test(
        "what is no size is refused",
        arguments: ["", "0", "0KiB", "KiB", "4kb", "4 KiB", "-4KiB", "1.5MiB", "9223372036854775807KiB", "4KiBKiB"])
    func noSize(text: String) {
        #expect(ByteSize(text) == nil)
    }

    @Test("a list keeps its order")
    func list() throws {
        let list = try #require(CommaList("64,1,16") { Int($0) })
        #expect(list.elements == [64, 1, 16])
        #expect(list.description == "64,1,16")
    }

    @Test(
        "a list with a gap, a repetition or no element is refused", arguments: ["", "1,", ",1", "1,,2", "1,1", "1,x"])
    func noList(text: String) {
        #expect(CommaList(text) { Int($0) } == nil)
    }
}

@Suite("Result files")
struct ResultFileTests {
    private static var file: ResultFile {
        var book = SampleBook()
        for round in 0..<2 {
            book.note(Samples.sample(operationCount: 50), of: Samples.setting(.fingerprint), round: round)
            book.note(Samples.sample(operationCount: 100), of: Samples.setting(.none), round: round)
        }
        book.note(Samples.sample(operationCount: 9), of: Samples.setting(.full, faults: 2), round: 0)
        var without = Samples.setting(.fingerprint)
        without.without = [.hedging, .groupCommit]
        book.note(Samples.sample(operationCount: 40), of: without, round: 1)
        return ResultFile(
            machine: MachineDescription(
                processor: "a, processor", processorCount: 2, memoryBytes: 1, kernel: "6", level: "portable"),
            conditions: Conditions(link: .gigabit), secondsPerMeasurement: 1, book: book,
            breakdown: [BreakdownPart(mode: .readTime, part: "encode", microseconds: 2, shareOfLatency: 0.5)])
    }

    @Test("JSON has a row for each setting, its figures and its ratios by name")
    func json() throws {
        let object = try #require(JSONSerialization.jsonObject(with: Self.file.json()) as? [String: Any])
        let results = try #require(object["results"] as? [[String: Any]])
        try #require(results.count == 4)
        let row = results[0]
        #expect(row["mode"] as? String == "fingerprint")
        #expect(row["operation"] as? String == "put")
        #expect(row["size_bytes"] as? Int == 65536)
        #expect(row["data_fragments"] as? Int == 2)
        #expect(row["servers"] as? Int == 4)
        #expect(row["rounds"] as? Int == 2)
        let figures = try #require(row["figures"] as? [String: Double])
        #expect(Set(figures.keys) == Set(Figure.allCases.map(\.rawValue)))
        #expect(figures["operations_per_second"] == 50)
        let ratios = try #require(row["ratios_to_none"] as? [String: Double])
        #expect(ratios["operations_per_second"] == 0.5)
        #expect((results[2]["ratios_to_none"] as? [String: Double])?.isEmpty == true)
        #expect((row["without"] as? [String])?.isEmpty == true)
        #expect((row["ratios_to_everything"] as? [String: Double])?.isEmpty == true)
        #expect(results[3]["without"] as? [String] == ["group-commit", "hedging"])
        #expect((results[3]["ratios_to_everything"] as? [String: Double])?["operations_per_second"] == 0.8)
        #expect((results[3]["ratios_to_none"] as? [String: Double])?.isEmpty == true)
        #expect(object["network"] as? String == "1gbit")
        let parts = try #require(object["breakdown"] as? [[String: Any]])
        #expect(parts.first?["mode"] as? String == "read-time")
        #expect(parts.first?["share_of_latency"] as? Double == 0.5)
        let targets = try #require(object["targets"] as? [[String: Any]])
        #expect(targets.contains { $0["verdict"] as? String == "missed" })
        #expect((object["machine"] as? [String: Any])?["processor_count"] as? Int == 2)
    }

    @Test("CSV has one line of names, and every line as many fields")
    func csv() {
        let lines = Self.file.csv().split(separator: "\n").map {
            $0.split(separator: ",", omittingEmptySubsequences: false)
        }
        #expect(lines.count == 5)
        #expect(lines.allSatisfy { $0.count == 9 + 3 * Figure.allCases.count })
        #expect(lines[0].contains("p99_microseconds"))
        #expect(lines[1].prefix(9) == ["fingerprint", "", "1", "2", "4", "put", "65536", "16", "2"])
        #expect(lines[4].prefix(2) == ["fingerprint", "group-commit hedging"])
        // Without a mode to compare with, fields are empty.
        #expect(lines[3].suffix(2 * Figure.allCases.count).allSatisfy { $0.isEmpty })
    }
}

@Suite("Figures with promises")
struct PromisedFigureTests {
    @Test("a figure with a bound has a verdict, one to compare with has none")
    func verdicts() throws {
        #expect(PromisedFigure("memory", 299, "MiB", bound: .atMost(300)).target?.verdict == .met)
        #expect(PromisedFigure("memory", 301, "MiB", bound: .atMost(300)).target?.verdict == .missed)
        #expect(PromisedFigure("keys", 49_999, "1/s", bound: .atLeast(50_000)).target?.verdict == .missed)
        #expect(PromisedFigure("limit", 1, "MiB/s").target == nil)
    }

    @Test("JSON has a row for each figure, with bound and verdict where there is a promise")
    func json() throws {
        let file = ObjectsFile(
            machine: MachineDescription(
                processor: "a", processorCount: 2, memoryBytes: 1, kernel: "6", level: "portable"),
            mode: "fingerprint", seededObjects: 1000, laggingObjects: 100, largeObjectBytes: 1 << 33,
            secondsPerMeasurement: 1,
            figures: [
                PromisedFigure("page", 60, "ms", bound: .atMost(50)), PromisedFigure("limit", 7, "MiB/s"),
            ])
        let object = try #require(try JSONSerialization.jsonObject(with: file.json()) as? [String: Any])
        #expect(object["seeded_objects"] as? Int == 1000 && object["large_object_bytes"] as? Int == 1 << 33)
        let rows = try #require(object["figures"] as? [[String: Any]])
        try #require(rows.count == 2)
        #expect(rows[0]["figure"] as? String == "page" && rows[0]["value"] as? Double == 60)
        #expect(rows[0]["verdict"] as? String == "missed" && rows[0]["bound"] as? String == "<= 50.00")
        #expect(rows[1]["unit"] as? String == "MiB/s" && rows[1]["verdict"] == nil)
    }

    @Test("JSON of healing says of how much its figures are")
    func healing() throws {
        let file = HealingFile(
            machine: MachineDescription(
                processor: "a", processorCount: 2, memoryBytes: 1, kernel: "6", level: "portable"),
            mode: "fingerprint", sections: ["small"], largeBytes: 1 << 33, largeObjectBytes: 1 << 28,
            smallObjects: 1000, smallObjectBytes: 4096, besideObjects: 100, besideObjectBytes: 1 << 16,
            secondsPerMeasurement: 1, figures: [PromisedFigure("objects", 4000, "1/s", bound: .atLeast(3000))])
        let object = try #require(try JSONSerialization.jsonObject(with: file.json()) as? [String: Any])
        #expect(object["sections"] as? [String] == ["small"] && object["small_objects"] as? Int == 1000)
        let rows = try #require(object["figures"] as? [[String: Any]])
        #expect(rows.count == 1 && rows[0]["verdict"] as? String == "met")
    }
}
