// The simulator's command line.

import ArgumentParser

@main
struct SolidusSim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "solidus-sim",
        abstract: "Runs the protocol in a deterministic world of liars, crashes and losses.",
        subcommands: [Run.self, Replay.self, Mutants.self, Work.self])
}
