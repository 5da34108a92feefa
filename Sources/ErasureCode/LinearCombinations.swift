// Linear combinations over GF(2^8) of whole fragments: the one operation behind encoding and decoding.

import CISAL

/// A matrix expanded into ISA-L's multiplication tables. Immutable once made, and therefore shared between threads.
final class LinearCombinations: @unchecked Sendable {
    private let inputCount: Int
    private let outputCount: Int
    private let tables: UnsafeMutablePointer<UInt8>

    /// The matrix with `inputCount` columns, given row by row; it may have no rows.
    init(coefficients: ArraySlice<UInt8>, inputCount: Int) {
        precondition(inputCount > 0 && coefficients.count % inputCount == 0)
        self.inputCount = inputCount
        outputCount = coefficients.count / inputCount
        // ISA-L expands each coefficient into 32 bytes.
        tables = .allocate(capacity: 32 * coefficients.count)
        tables.initialize(repeating: 0, count: 32 * coefficients.count)
        guard outputCount > 0 else { return }
        var mutableCoefficients = Array(coefficients)
        ec_init_tables(Int32(inputCount), Int32(outputCount), &mutableCoefficients, tables)
    }

    deinit { tables.deallocate() }

    /// outputs[r] = sum over j of coefficient[r][j] * inputs[j], for pieces of `sizeBytes` bytes each.
    func apply(to inputs: [UnsafePointer<UInt8>], into outputs: [UnsafeMutablePointer<UInt8>], sizeBytes: Int) {
        precondition(inputs.count == inputCount && outputs.count == outputCount)
        guard outputCount > 0 else { return }
        // ISA-L takes lengths as 32-bit integers.
        let segmentSizeBytes = 1 << 30
        for start in stride(from: 0, to: sizeBytes, by: segmentSizeBytes) {
            // The C declaration lacks a const; inputs are only read.
            var sources: [UnsafeMutablePointer<UInt8>?] = inputs.map { UnsafeMutablePointer(mutating: $0 + start) }
            var targets: [UnsafeMutablePointer<UInt8>?] = outputs.map { $0 + start }
            ec_encode_data(
                Int32(min(segmentSizeBytes, sizeBytes - start)), Int32(inputCount), Int32(outputCount), tables,
                &sources, &targets)
        }
    }
}
