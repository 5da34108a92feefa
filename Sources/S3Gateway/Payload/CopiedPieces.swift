// What is copied, hashed as it passes.

import Crypto
import ErasureCode
import Synchronization

struct CopiedPieces<Base: AsyncSequence & Sendable>: AsyncSequence, Sendable where Base.Element == SharedBytes {
    typealias Element = SharedBytes

    fileprivate struct State {
        var md5 = Insecure.MD5()
        var checksum: RunningChecksum?
    }

    fileprivate final class Digests: Sendable {
        let state: Mutex<State>
        init(_ state: sending State) { self.state = Mutex(state) }
    }

    private let base: Base
    private let algorithm: ChecksumAlgorithm?
    private let digests: Digests

    init(base: Base, algorithm: ChecksumAlgorithm?) {
        self.base = base
        self.algorithm = algorithm
        digests = Digests(State(checksum: algorithm.map(RunningChecksum.init)))
    }

    /// Of what has passed: 16 bytes.
    var md5: [UInt8] { digests.state.withLock { Array($0.md5.finalize()) } }

    var checksum: (algorithm: ChecksumAlgorithm, bytes: [UInt8])? {
        digests.state.withLock { state in
            guard let algorithm, let checksum = state.checksum else { return nil }
            return (algorithm, checksum.bytes)
        }
    }

    /// The checksum as it is kept with an object.
    var kept: KeptChecksum? {
        checksum.map { KeptChecksum($0.algorithm, Base64.text($0.bytes), .fullObject) }
    }

    struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var base: Base.AsyncIterator
        fileprivate let digests: Digests

        mutating func next() async throws -> SharedBytes? {
            guard let piece = try await base.next() else { return nil }
            digests.state.withLock { state in
                piece.withUnsafeBytes { bytes in
                    state.md5.update(bufferPointer: bytes)
                    state.checksum?.update(bytes)
                }
            }
            return piece
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: base.makeAsyncIterator(), digests: digests) }
}
