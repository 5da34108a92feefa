// What a server has met that proves another one's lie goes into its home (docs/protocol.md, Evidence).

import ClusterFiles
import Logging
import QuorumProtocol
import Synchronization

/// Judges and keeps one server's evidence. Its calls wait for the disk and take a processor's time.
final class EvidenceRecorder: Sendable {
    /// So much is judged of one finding: of a version's statements there are no more than servers.
    private static let judgedCountMax = 255
    /// How often it is looked for what people have taken away.
    private static let lookIntervalMilliseconds: UInt64 = 10_000

    private struct State {
        var count: UInt64 = 0
        var isFullTold = false
        var lookedAtMilliseconds: UInt64 = 0
    }

    private let directory: EvidenceDirectory?
    private let parameters: ClusterParameters
    private let verifier: StatementVerifier
    private let logger: Logger
    /// Held while a file is added, too.
    private let state: Mutex<State>

    /// - Parameter directory: nil: nothing is kept.
    init(
        _ directory: EvidenceDirectory?, parameters: ClusterParameters, verifier: StatementVerifier, logger: Logger
    ) {
        self.directory = directory
        self.parameters = parameters
        self.verifier = verifier
        self.logger = logger
        let files = (try? directory?.files()) ?? []
        state = Mutex(State(count: UInt64(files.count)))
    }

    /// How many files there are.
    var count: UInt64 { state.withLock { $0.count } }

    /// Counts the files now and then, on a thread that may wait for the disk.
    func tick(milliseconds: UInt64, _ threads: ServerThreads) {
        guard let directory else { return }
        let isDue = state.withLock { state in
            guard milliseconds >= state.lookedAtMilliseconds + Self.lookIntervalMilliseconds else { return false }
            state.lookedAtMilliseconds = milliseconds
            return true
        }
        guard isDue else { return }
        threads.backgroundTurns.submit(for: nil) {
            self.state.withLock { state in
                guard let files = try? directory.files() else { return }
                if files.count < state.count { state.isFullTold = false }
                state.count = UInt64(files.count)
            }
        }
    }

    /// Keeps what convicts; what does not is no fault of anybody's, since nothing of it was checked before.
    func record(_ found: [Evidence]) {
        guard let directory else { return }
        for evidence in found.prefix(Self.judgedCountMax) {
            guard let verdict = try? evidence.verdict(parameters, verifier) else { continue }
            state.withLock { state in
                do {
                    switch try directory.add(evidence) {
                    case .kept(let path):
                        state.count += 1
                        logger.error(
                            """
                            \(verdict.node) in its life \(verdict.incarnation.rawValue) \(verdict.kind.meaning): \
                            \(verdict.key) at \(verdict.timestamp); the proof is in \(path): solidus evidence verify
                            """)
                    case .known: break
                    case .full:
                        guard !state.isFullTold else { return }
                        state.isFullTold = true
                        logger.error(
                            """
                            there is no room in \(directory.path) for what proves that \(verdict.node) \
                            \(verdict.kind.meaning); move what is there elsewhere
                            """)
                    }
                } catch {
                    logger.error("evidence against \(verdict.node) cannot be written: \(error)")
                }
            }
        }
    }
}
