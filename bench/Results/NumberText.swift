// Numbers in tables.

import Foundation

/// With a fixed number of digits after the point.
package func fixed(_ value: Double, digits: Int) -> String {
    String(format: "%.\(digits)f", value)
}

/// With about three digits that matter.
package func brief(_ value: Double) -> String {
    let size = abs(value)
    return fixed(value, digits: size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 || size == 0 ? 2 : 4)
}
