// Waiting for servers that have something to do of their own accord.

import Glibc

enum ServerRest {
    /// For how long they are waited for, and what they all together use in a second of rest.
    private static let secondsMax = 300
    private static let processorSeconds = 0.1

    /// A store that was just opened says again what its journal has, which takes more than most of what is measured.
    static func wait(for servers: [ServerChild]) throws {
        Progress.say("waiting for the servers to come to rest")
        for _ in 0..<secondsMax {
            let before = try processorTime(of: servers)
            sleep(1)
            if try processorTime(of: servers) - before < processorSeconds { return }
        }
    }

    private static func processorTime(of servers: [ServerChild]) throws -> Double {
        try servers.reduce(0) { $0 + (try ProcessorTime.seconds(of: $1.processID)) }
    }
}
