// The program behind `solidus torture` and `solidus check`.

import ArgumentParser
import CommandOutcome

@main
struct SolidusTorture: Program {
    static let configuration = CommandConfiguration(
        // As it is to be called: the program `solidus` makes room for this one.
        commandName: "solidus",
        abstract: "What tests a store from outside; 'solidus torture' and 'solidus check' run it.",
        discussion: ExitStatus.table,
        subcommands: [Torture.self, Check.self, AttackCommand.self])

    @MainActor static func main() async { await runToExit() }
}
