// One stripe under one code: the encoder at every level beside plain ISA-L, and the whole operations that the writer,
// the server and the reader run, at the level that production code uses on this machine.

import CFragmentCore
import CISAL
import ErasureCode
import Fingerprint

/// What one stripe costs.
struct StripeTimings {
    let code: ReedSolomonCode
    let blockSizeBytes: Int
    /// The parity of a block with ISA-L alone, in bytes of block.
    let isal: Timing
    /// The same by the core, in the order of `CoreLevel.all`.
    let encoders: [(level: CoreLevel, timing: Timing)]
    /// Hashing all n fragments, in bytes of block.
    let hashAll: Timing
    /// Encoding, hashing n and fingerprinting m fragments, in bytes of block.
    let encode: Timing
    /// Hashing one fragment, in bytes of fragment.
    let hashOne: Timing
    /// Verifying one fragment, in bytes of fragment.
    let verify: Timing
    /// Verifying m fragments one by one as the reader does and decoding them, in bytes of block; as many data fragments
    /// as possible are missing.
    let verifyAndDecode: Timing
    /// The same with the m fragments verified at once.
    let verifyTogetherAndDecode: Timing
    /// Encoding a block anew and comparing all hashes, in bytes of block.
    let reencodeAndCompare: Timing

    init(code: ReedSolomonCode, blockSizeBytes size: Int, rounds: Int, sampleSeconds: Double) {
        let block = RandomBytes.block(sizeBytes: size)
        let (fragments, crossChecksum) = CrossChecksum.encode(block: block, code: code)
        let parity = ParityBuffers(code: code, fragments: fragments)
        let served = fragments.indices.suffix(code.dataFragmentCount).map { offset in
            (index: FragmentIndex(UInt8(offset)), bytes: fragments[offset])
        }
        let fragmentSize = fragments[0].count

        let whole = [
            Candidate("ISA-L encode", bytes: size) { parity.encodeWithISAL() },
            Candidate("hash n", bytes: size) { _ = Digest256.fragmentHashes(of: fragments) },
            Candidate("encode + hash n + fingerprint", bytes: size) {
                _ = CrossChecksum.encode(block: block, code: code)
            },
            Candidate("hash one", bytes: fragmentSize) { _ = Digest256.fragmentHash(of: fragments[0]) },
            Candidate("verify one", bytes: fragmentSize) {
                guard (try? crossChecksum.verify(fragments[0], at: FragmentIndex(0))) != nil else {
                    preconditionFailure("an honest fragment is refused")
                }
            },
            Candidate("verify m + decode", bytes: size) {
                let good = served.compactMap { try? crossChecksum.verify($0.bytes, at: $0.index) }
                guard let decoded = try? crossChecksum.decode(good), decoded.count == size else {
                    preconditionFailure("honest fragments do not decode")
                }
            },
            Candidate("verify m at once + decode", bytes: size) {
                let good = crossChecksum.verify(served).compactMap { try? $0.get() }
                guard let decoded = try? crossChecksum.decode(good), decoded.count == size else {
                    preconditionFailure("honest fragments do not decode")
                }
            },
            Candidate("re-encode + compare", bytes: size) {
                guard crossChecksum.matchesEncoding(of: block) else {
                    preconditionFailure("an honest block does not match its hashes")
                }
            },
        ]
        let encoders = CoreLevel.all.map { level in
            Candidate("encode", bytes: size) { parity.encode(at: level) }
        }
        let timings = measureInterleaved(whole + encoders, rounds: rounds, sampleSeconds: sampleSeconds)
        self.code = code
        blockSizeBytes = size
        isal = timings[0]
        hashAll = timings[1]
        encode = timings[2]
        hashOne = timings[3]
        verify = timings[4]
        verifyAndDecode = timings[5]
        verifyTogetherAndDecode = timings[6]
        reencodeAndCompare = timings[7]
        self.encoders = zip(CoreLevel.all, timings[whole.count...]).map { ($0, $1) }
    }
}

/// Data fragments, and memory of its own for the parity that encoders write over and over.
private final class ParityBuffers {
    private let code: ReedSolomonCode
    private let data: [SharedBytes]
    private let sizeBytes: Int
    // Plain pointers, so that no call is charged with more than the kernel behind it.
    private let inputs: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>
    private let constantInputs: UnsafeMutablePointer<UnsafePointer<UInt8>?>
    private let outputs: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>
    private let isalTables: UnsafeMutablePointer<UInt8>
    private let parityCount: Int
    private let matrices: [OpaquePointer]

    init(code: ReedSolomonCode, fragments: [SharedBytes]) {
        self.code = code
        data = Array(fragments.prefix(code.dataFragmentCount))
        let sizeBytes = fragments[0].count
        self.sizeBytes = sizeBytes
        let m = code.dataFragmentCount
        parityCount = code.fragmentCount - m
        outputs = .allocate(capacity: parityCount)
        for row in 0..<parityCount {
            let output = UnsafeMutableRawPointer.allocate(byteCount: sizeBytes, alignment: 64)
            (outputs + row).initialize(to: output.bindMemory(to: UInt8.self, capacity: sizeBytes))
        }
        // The fragments stay where they are for as long as `data` keeps them alive.
        inputs = .allocate(capacity: m)
        constantInputs = .allocate(capacity: m)
        for (position, fragment) in data.enumerated() {
            (constantInputs + position).initialize(to: fragment.start)
            (inputs + position).initialize(to: UnsafeMutablePointer(mutating: fragment.start))
        }
        var coefficients = Array(code.generator[(m * m)...])
        isalTables = .allocate(capacity: 32 * coefficients.count)
        ec_init_tables(Int32(m), Int32(parityCount), &coefficients, isalTables)
        let rows = parityCount
        matrices = CoreLevel.all.map { sfc_matrix_create($0.index, coefficients, rows, m)! }
    }

    deinit {
        for row in 0..<parityCount { outputs[row]?.deallocate() }
        outputs.deallocate()
        inputs.deallocate()
        constantInputs.deallocate()
        isalTables.deallocate()
        for matrix in matrices { sfc_matrix_destroy(matrix) }
    }

    func encode(at level: CoreLevel) {
        sfc_matrix_apply(matrices[level.index], constantInputs, outputs, sizeBytes)
    }

    func encodeWithISAL() {
        ec_encode_data(
            Int32(sizeBytes), Int32(code.dataFragmentCount), Int32(parityCount), isalTables, inputs, outputs)
    }
}
