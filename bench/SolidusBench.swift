// The benchmark harness: one command for each thing measured.

import ArgumentParser

@main
struct SolidusBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "solidus-bench",
        abstract: "Measures Solidus; run a release build on quiet cores.",
        subcommands: [
            CoreBenchmark.self, ModesBenchmark.self, GroupsBenchmark.self, ObjectsBenchmark.self, HealBenchmark.self,
            HostileBenchmark.self, S3Benchmark.self,
            SeedCommand.self, AttackCommand.self, TransferCommand.self,
        ])
}
