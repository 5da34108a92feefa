// What a worker process does: it runs the seeds that its parent hands it, until there are no more.

import ArgumentParser
import Glibc
import QuorumSimulator

/// Reads a line `A B` for each piece of work, the first and the last of its seeds; answers with a line `seed N` before
/// each seed, and `done TALLY` after the last one. So a seed that takes the process with it is known by name.
struct Work: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the seeds that come on standard input.", shouldDisplay: false)

    @OptionGroup var world: WorldArguments

    func run() throws {
        // The parent ignores it, which a process inherits; here it ends what nobody listens to any more.
        signal(SIGPIPE, SIG_DFL)
        let options = try world.options()
        try world.plantFlaw()
        while let line = readLine() {
            let words = line.split(separator: " ").map { UInt64($0) }
            guard words.count == 2, let first = words[0], let last = words[1], first <= last else {
                throw ValidationError("'\(line)' is no range of seeds")
            }
            let tally = try runSeeds(first...last, options: options) { seed in Self.say("seed \(seed)\n") }
            Self.say("done \(tally.line)\n")
        }
    }

    /// At once, past all buffers.
    private static func say(_ line: String) {
        var rest = Array(line.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { _exit(1) }
            rest = rest.dropFirst(count)
        }
    }
}
