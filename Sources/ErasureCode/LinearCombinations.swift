// Linear combinations over GF(2^8) of whole fragments: the one operation behind encoding and decoding.

import CFragmentCore

/// A matrix prepared for the C core's kernel. Immutable once made, and therefore shared between threads.
final class LinearCombinations: @unchecked Sendable {
    private let inputCount: Int
    private let outputCount: Int
    private let matrix: OpaquePointer

    /// The matrix with `inputCount` columns, given row by row; it may have no rows.
    init(coefficients: ArraySlice<UInt8>, inputCount: Int) {
        precondition(inputCount > 0 && coefficients.count % inputCount == 0)
        self.inputCount = inputCount
        outputCount = coefficients.count / inputCount
        guard let prepared = sfc_matrix_create(sfc_active_level(), Array(coefficients), outputCount, inputCount) else {
            preconditionFailure("out of memory")
        }
        matrix = prepared
    }

    deinit { sfc_matrix_destroy(matrix) }

    /// outputs[r] = sum over j of coefficient[r][j] * inputs[j], for pieces of `sizeBytes` bytes each.
    func apply(
        to inputs: UnsafeMutableBufferPointer<UnsafePointer<UInt8>?>,
        into outputs: UnsafeMutableBufferPointer<UnsafeMutablePointer<UInt8>?>, sizeBytes: Int
    ) {
        precondition(inputs.count == inputCount && outputs.count == outputCount)
        sfc_matrix_apply(matrix, inputs.baseAddress, outputs.baseAddress, sizeBytes)
    }
}
