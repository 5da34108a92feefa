// One worker process, as its parent sees it.

import CProcessControl
import Glibc
import QuorumSimulator

/// Why a worker could not do its work.
enum WorkerFailure: Error, CustomStringConvertible {
    case cannotStart(errno: Int32)
    /// It ended while it ran the seed, or before the first one.
    case ended(WorkerEnd, seed: UInt64?)
    case unintelligible(String)

    var description: String {
        switch self {
        case .cannotStart(let code): "no worker process can be started: \(String(cString: strerror(code)))"
        case .ended(let end, let seed?): "seed \(seed) ended its worker process \(end)"
        case .ended(let end, nil): "a worker process ended \(end)"
        case .unintelligible(let line): "a worker process said '\(line)'"
        }
    }
}

/// How a process ended.
enum WorkerEnd: Equatable, CustomStringConvertible {
    case exit(Int32)
    case signal(Int32)

    var description: String {
        switch self {
        case .exit(let code): "with exit code \(code)"
        case .signal(let number): "by signal \(number) (\(String(cString: strsignal(number))))"
        }
    }
}

/// A process that runs seeds, with pipes to and from it. Ends when it is released, whatever it does.
final class WorkerProcess {
    /// Where its answers can be read.
    let output: Int32
    private let input: Int32
    private let process: pid_t
    private var end: WorkerEnd?
    private var unread: [UInt8] = []
    /// The seed that it said it would run last.
    private(set) var seed: UInt64?

    /// Starts this very program again.
    init(_ arguments: [String]) throws(WorkerFailure) {
        let (childInput, parentInput) = try Self.pipe()
        let (parentOutput, childOutput) = try Self.pipe()
        defer {
            close(childInput)
            close(childOutput)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, childInput, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, childOutput, STDOUT_FILENO)
        var words: [UnsafeMutablePointer<CChar>?] = (["solidus-sim"] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var started = pid_t()
        let code = posix_spawn(&started, "/proc/self/exe", &actions, nil, &words, environ)
        input = parentInput
        output = parentOutput
        process = started
        guard code == 0 else {
            end = .exit(code)
            throw .cannotStart(errno: code)
        }
    }

    private static func pipe() throws(WorkerFailure) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard process_control_pipe(&ends) == 0 else { throw .cannotStart(errno: errno) }
        return (ends[0], ends[1])
    }

    deinit {
        close(input)
        close(output)
        guard end == nil else { return }
        kill(process, SIGKILL)
        _ = Self.wait(process)
    }

    private static func wait(_ process: pid_t) -> WorkerEnd {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        return status & 0x7f == 0 ? .exit(status >> 8 & 0xff) : .signal(status & 0x7f)
    }

    /// Hands it seeds to run. That it has ended meanwhile is seen when its answer is read.
    func run(_ seeds: ClosedRange<UInt64>) {
        let line = Array("\(seeds.lowerBound) \(seeds.upperBound)\n".utf8)
        // A pipe takes so little in one piece.
        while line.withUnsafeBytes({ write(input, $0.baseAddress, $0.count) }) < 0 && errno == EINTR {}
    }

    /// Reads what there is to read, waiting if there is nothing: the tally of the seeds it was handed, once they are
    /// done.
    func read() throws(WorkerFailure) -> SeedTally? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { Glibc.read(output, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { return nil }
        guard count > 0 else {
            let end = Self.wait(process)
            self.end = end
            throw .ended(end, seed: seed)
        }
        unread += buffer.prefix(count)
        while let newline = unread.firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: unread[..<newline], as: UTF8.self)
            unread.removeSubrange(...newline)
            let words = line.split(separator: " ", maxSplits: 1)
            switch (words.first, words.last) {
            case ("seed", let number?) where UInt64(number) != nil:
                seed = UInt64(number)
            case ("done", let rest?):
                guard let tally = SeedTally(line: rest), unread.isEmpty else { throw .unintelligible(line) }
                return tally
            default:
                throw .unintelligible(line)
            }
        }
        return nil
    }
}
