// Patterns for paths, as shells have them.

/// A pattern that paths match or not.
///
/// `*` and `?` stand for any bytes and for one character, but for no slash; `**` for anything, and `**/` also for
/// nothing; `[a-z]` and `[!a-z]` for one ASCII character of a set or outside of it; a backslash takes the next
/// character's meaning from it. A pattern with a slash within it is about the whole path, one without about the path's
/// last name. A slash at its end is ignored: what matches a folder is about all that is in it.
package struct GlobPattern: Sendable, Equatable {
    private enum Token: Equatable {
        case byte(UInt8)
        /// One character but a slash.
        case character
        case set([ClosedRange<UInt8>], isNegated: Bool)
        /// Any bytes but slashes.
        case name
        /// Any bytes.
        case anything
        /// Nothing, or anything that ends with a slash.
        case folders
    }

    /// As it was written.
    package let text: String
    private let tokens: [Token]
    private let isAboutNames: Bool

    /// Nil when a set is not closed or empty, or nothing follows a backslash.
    package init?(_ bytes: [UInt8], text: String) {
        self.text = text
        var bytes = bytes[...]
        while bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        guard !bytes.isEmpty else { return nil }
        let isAnchored = bytes.first == UInt8(ascii: "/")
        if isAnchored { bytes.removeFirst() }
        isAboutNames = !isAnchored && !bytes.contains(UInt8(ascii: "/"))
        guard let tokens = Self.tokens(Array(bytes)) else { return nil }
        self.tokens = tokens
    }

    private static func tokens(_ bytes: [UInt8]) -> [Token]? {
        var tokens: [Token] = []
        var position = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\\"):
                guard position < bytes.count else { return nil }
                tokens.append(.byte(bytes[position]))
                position += 1
            case UInt8(ascii: "?"):
                tokens.append(.character)
            case UInt8(ascii: "*"):
                guard position < bytes.count, bytes[position] == byte else {
                    tokens.append(.name)
                    continue
                }
                while position < bytes.count, bytes[position] == byte { position += 1 }
                let beginsName = tokens.last.map { $0 == .byte(UInt8(ascii: "/")) || $0 == .folders } ?? true
                if beginsName, position < bytes.count, bytes[position] == UInt8(ascii: "/") {
                    tokens.append(.folders)
                    position += 1
                } else {
                    tokens.append(.anything)
                }
            case UInt8(ascii: "["):
                guard let set = Self.set(bytes, &position) else { return nil }
                tokens.append(set)
            default:
                tokens.append(.byte(byte))
            }
        }
        return tokens
    }

    /// Reads a set from behind its bracket to behind the closing one.
    private static func set(_ bytes: [UInt8], _ position: inout Int) -> Token? {
        var ranges: [ClosedRange<UInt8>] = []
        var isNegated = false
        if position < bytes.count, [UInt8(ascii: "!"), UInt8(ascii: "^")].contains(bytes[position]) {
            isNegated = true
            position += 1
        }
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "]"), !ranges.isEmpty { return .set(ranges, isNegated: isNegated) }
            guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "-"),
                bytes[position + 1] != UInt8(ascii: "]")
            else {
                ranges.append(byte...byte)
                continue
            }
            guard byte <= bytes[position + 1] else { return nil }
            ranges.append(byte...bytes[position + 1])
            position += 2
        }
        return nil
    }

    /// Whether a path, which neither begins nor ends with a slash, matches; that a folder above it does is another
    /// question.
    package func matches(_ path: ArraySlice<UInt8>) -> Bool {
        guard isAboutNames else { return run(path) }
        let name = path.lastIndex(of: UInt8(ascii: "/")).map { path[($0 + 1)...] } ?? path
        return run(name)
    }

    /// All places in the pattern that one may be at, byte by byte: no pattern takes longer than its length times the
    /// path's.
    private func run(_ path: ArraySlice<UInt8>) -> Bool {
        var states = [Bool](repeating: false, count: tokens.count + 1)
        states[0] = true
        // Within the bytes for which `folders` stands.
        var inFolders = [Bool](repeating: false, count: tokens.count)
        skipEmpty(&states)
        for byte in path {
            var next = [Bool](repeating: false, count: tokens.count + 1)
            var nextInFolders = [Bool](repeating: false, count: tokens.count)
            for (place, token) in tokens.enumerated() where states[place] || inFolders[place] {
                switch token {
                case .byte(let wanted): if byte == wanted { next[place + 1] = true }
                case .character:
                    guard byte != UInt8(ascii: "/") else { continue }
                    // A character's further bytes are not counted.
                    if byte & 0xC0 == 0x80 { next[place] = true } else { next[place + 1] = true }
                case .set(let ranges, let isNegated):
                    guard byte != UInt8(ascii: "/") else { continue }
                    if ranges.contains(where: { $0.contains(byte) }) != isNegated { next[place + 1] = true }
                case .name: if byte != UInt8(ascii: "/") { next[place] = true }
                case .anything: next[place] = true
                case .folders:
                    nextInFolders[place] = true
                    if byte == UInt8(ascii: "/") { next[place + 1] = true }
                }
            }
            // The further bytes of the character that `?` has stood for.
            if byte & 0xC0 == 0x80 {
                for (place, token) in tokens.enumerated() where token == .character && states[place + 1] {
                    next[place + 1] = true
                }
            }
            skipEmpty(&next)
            states = next
            inFolders = nextInFolders
        }
        return states[tokens.count]
    }

    private func skipEmpty(_ states: inout [Bool]) {
        for (place, token) in tokens.enumerated() where states[place] {
            if token == .name || token == .anything || token == .folders { states[place + 1] = true }
        }
    }
}

/// Which paths a command is about.
package struct PathFilter: Sendable {
    /// Nothing else is taken, unless there are none.
    package var included: [GlobPattern]
    /// Not even what is included.
    package var excluded: [GlobPattern]
    /// Nothing else is taken; nil: no list was given.
    package var listed: PathList?

    package init(included: [GlobPattern] = [], excluded: [GlobPattern] = [], listed: PathList? = nil) {
        self.included = included
        self.excluded = excluded
        self.listed = listed
    }

    /// Whether a path is taken. What matches a folder is about all that is in it.
    package func takes(_ path: [UInt8]) -> Bool {
        guard listed?.names(path) ?? true else { return false }
        return !excludes(path) && (included.isEmpty || Self.matches(included, path))
    }

    /// Whether nothing at or below this path is taken: a folder, whose path ends with a slash, need not be opened then.
    package func excludes(_ path: [UInt8]) -> Bool {
        if let listed, path.last == UInt8(ascii: "/"), !listed.mayName(below: path) { return true }
        return Self.matches(excluded, path)
    }

    private static func matches(_ patterns: [GlobPattern], _ path: [UInt8]) -> Bool {
        guard !patterns.isEmpty else { return false }
        let slashes = path.indices.filter { path[$0] == UInt8(ascii: "/") && $0 > 0 }
        let ends = path.last == UInt8(ascii: "/") ? slashes : slashes + [path.count]
        return ends.contains { end in patterns.contains { $0.matches(path[..<end]) } }
    }
}
