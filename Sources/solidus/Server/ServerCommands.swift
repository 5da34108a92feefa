// solidus server

import ArgumentParser

struct ServerCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Look after the store of a server that does not run.",
        subcommands: [ServerCheck.self, ServerRebuild.self])
}
