// What is made of samples: medians over rounds, ratios inside rounds, verdicts.

import BenchmarkResults
import QuorumProtocol
import Testing

@Suite("Statistics of measurements")
struct StatisticsTests {
    @Test(
        "the median is the middle value or the mean of the two in the middle",
        arguments: [([3.0], 3.0), ([9.0, 1.0, 5.0], 5.0), ([4.0, 1.0, 2.0, 100.0], 3.0)])
    func median(values: [Double], expected: Double) {
        #expect(BenchmarkResults.median(values) == expected)
    }

    @Test("figures are per byte of value, per operation or per second")
    func figures() {
        let sample = Samples.sample(operationCount: 10, seconds: 2) {
            $0.sentBytes = 20_480
            $0.receivedBytes = 5120
            $0.diskBytes = 40_960
            $0.roundCount = 30
            $0.signatureCount = 5
            $0.groupCommitCount = 80
            $0.clientCPUSeconds = 0.5
            $0.serverCPUSeconds = 1
            $0.laterServerCPUSeconds = 0.25
        }
        func value(_ figure: Figure) -> Double { figure.value(of: sample, size: ByteSize(bytes: 1024)) }
        #expect(value(.operationsPerSecond) == 5)
        #expect(value(.megabytesPerSecond) == 0.00512)
        #expect(value(.sentBytesPerByte) == 2)
        #expect(value(.receivedBytesPerByte) == 0.5)
        #expect(value(.diskBytesPerByte) == 4)
        #expect(value(.roundsPerOperation) == 3)
        #expect(value(.signaturesPerOperation) == 0.5)
        #expect(value(.groupCommitsPerOperation) == 8)
        #expect(value(.clientCPUSecondsPerGB) == 0.5 / 10_240 * 1e9)
        #expect(value(.serverCPUSecondsPerGB) == 1 / 10_240.0 * 1e9)
        #expect(value(.laterServerCPUSecondsPerGB) == 0.25 / 10_240 * 1e9)
    }

    @Test("a figure is the median over a setting's rounds")
    func medianOverRounds() {
        var book = SampleBook()
        for (round, count) in [10, 30, 20].enumerated() {
            book.note(Samples.sample(operationCount: count), of: Samples.setting(.full), round: round)
        }
        #expect(book.median(.operationsPerSecond, of: Samples.setting(.full)) == 20)
        #expect(book.count(of: Samples.setting(.full)) == 3)
        #expect(book.median(.operationsPerSecond, of: Samples.setting(.lazy)) == nil)
    }

    @Test("a ratio is taken inside each round, so that a slow round of both modes changes nothing")
    func ratioInsideRounds() {
        var book = SampleBook()
        // Ratios 0.9, 0.5 and 0.2; the medians' ratio would be 0.4.
        for (round, (own, others)) in [(90, 100), (10, 20), (40, 200)].enumerated() {
            book.note(Samples.sample(operationCount: own), of: Samples.setting(.fingerprint), round: round)
            book.note(Samples.sample(operationCount: others), of: Samples.setting(.none), round: round)
        }
        #expect(book.ratio(.operationsPerSecond, of: Samples.setting(.fingerprint)) == 0.5)
        #expect(book.ratio(.operationsPerSecond, of: Samples.setting(.none)) == 1)
    }

    @Test("there is no ratio to what was not measured or is zero")
    func noRatio() {
        var book = SampleBook()
        book.note(Samples.sample(operationCount: 5), of: Samples.setting(.fingerprint), round: 0)
        #expect(book.ratio(.operationsPerSecond, of: Samples.setting(.fingerprint)) == nil)
        book.note(Samples.sample(operationCount: 5), of: Samples.setting(.none), round: 1)
        #expect(book.ratio(.operationsPerSecond, of: Samples.setting(.fingerprint)) == nil)
        book.note(Samples.sample(operationCount: 5), of: Samples.setting(.none), round: 0)
        #expect(book.ratio(.operationsPerSecond, of: Samples.setting(.fingerprint)) == 1)
        #expect(book.ratio(.signaturesPerOperation, of: Samples.setting(.fingerprint)) == nil)
    }
}

@Suite("Promises on cost")
struct ModeTargetTests {
    @Test("over shaped links there are two promises more, named after the link", arguments: LinkRate.allCases)
    func shapedLinks(link: LinkRate) {
        let targets = ModeTarget.all(SampleBook(), under: Conditions(link: link))
        #expect(targets.count == ModeTarget.all(SampleBook()).count + 2)
        #expect(targets.count { $0.figure.hasSuffix("links of \(link.rawValue)") && $0.boundText == ">= 0.95" } == 2)
    }

    @Test("a promise that was not measured is neither met nor missed")
    func notMeasured() {
        #expect(ModeTarget.all(SampleBook()).allSatisfy { $0.verdict == .notMeasured })
    }

    @Test(
        "a promise is met at its bound and missed beyond it",
        arguments: [(80, ModeTarget.Verdict.met), (100, .met), (79, .missed)])
    func verdict(operationCount: Int, expected: ModeTarget.Verdict) throws {
        var book = SampleBook()
        book.note(Samples.sample(operationCount: operationCount), of: Samples.setting(.fingerprint), round: 0)
        book.note(Samples.sample(operationCount: 100), of: Samples.setting(.none), round: 0)
        let target = try #require(ModeTarget.all(book).first { $0.figure.hasPrefix("put throughput") })
        #expect(target.verdict == expected)
    }

    @Test(
        "small writes are held against one n-th of what a store takes by itself",
        arguments: [(99, ModeTarget.Verdict.missed), (100, .met)])
    func journal(operationCount: Int, expected: ModeTarget.Verdict) throws {
        var book = SampleBook()
        let setting = Setting(mode: .fingerprint, workload: ModeTarget.journalWorkload)
        book.note(Samples.sample(operationCount: operationCount), of: setting, round: 0)
        book.journalAppendsPerSecond = 1200 / Samples.sample(operationCount: 1).seconds
        let target = try #require(ModeTarget.all(book).first { $0.figure.contains("journal") })
        #expect(target.verdict == expected)
    }

    @Test("every promise is measured by the workloads that are run for the promises")
    func workloads() {
        var book = SampleBook()
        book.journalAppendsPerSecond = 1
        let conditions = Conditions(link: .gigabit, without: [.partialWrites])
        for setting in ModeTarget.settings(without: conditions.without) {
            book.note(Samples.sample(operationCount: 1) { $0.p50Microseconds = 1 }, of: setting, round: 0)
        }
        #expect(ModeTarget.all(book, under: conditions).allSatisfy { $0.verdict != .notMeasured })
    }
}

@Suite("The report on optimisations")
struct OptimisationReportTests {
    @Test(
        "every optimisation is left out of every workload that it could tell in, by itself, and compared with all of them"
    )
    func settings() {
        let settings = OptimisationReport.settings
        #expect(Set(settings).count == settings.count)
        #expect(settings.allSatisfy { $0.mode == .fingerprint && $0.without.count <= 1 })
        for operation in BenchmarkOperation.allCases {
            let variants = settings.filter { $0.workload.operation == operation }.map(\.without)
            #expect(variants.contains([]))
            let expected: Set<Optimisation> =
                operation == .getDuringPause ? [.hedging] : Set(Optimisation.allCases)
            #expect(Set(variants.flatMap { $0 }) == expected)
        }
    }

    @Test("what leaves an optimisation out is compared within the round, and with the mode none of its own kind")
    func ratios() {
        var book = SampleBook()
        var without = Samples.setting(.fingerprint)
        without.without = [.groupCommit]
        var noneWithout = Samples.setting(.none)
        noneWithout.without = [.groupCommit]
        for (round, factor) in [1, 4].enumerated() {
            book.note(
                Samples.sample(operationCount: 100 * factor), of: Samples.setting(.fingerprint), round: round)
            book.note(Samples.sample(operationCount: 25 * factor), of: without, round: round)
            book.note(Samples.sample(operationCount: 50 * factor), of: noneWithout, round: round)
        }
        #expect(book.ratioToEverything(.operationsPerSecond, of: without) == 0.25)
        #expect(book.ratioToEverything(.operationsPerSecond, of: Samples.setting(.fingerprint)) == nil)
        #expect(book.ratio(.operationsPerSecond, of: without) == 0.5)
        #expect(book.ratio(.operationsPerSecond, of: Samples.setting(.fingerprint)) == nil)
    }
}
