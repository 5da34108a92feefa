// The simulator's command line.

import ArgumentParser

@main
struct SolidusSim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "solidus-sim",
        abstract: "Runs the protocol, or the store, in a deterministic world of liars, crashes and losses.",
        subcommands: [Run.self, Replay.self, Mutants.self, Storage.self, Work.self])
}
