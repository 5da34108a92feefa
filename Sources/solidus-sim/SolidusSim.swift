// The simulator's command line.

import ArgumentParser

@main
struct SolidusSim: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "solidus-sim")
}
