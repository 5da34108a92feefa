// A TOML table that is read strictly: only known keys, only the expected types, every complaint with file and key.
//
// TOMLKit never frees what it parsed, so its nodes stay valid; a configuration is small and read once. Its iterators
// trap on a key with an embedded NUL, so keys are listed and looked up one by one.

import TOMLKit

/// One table of a TOML file, and how to name its keys in complaints.
struct StrictTable {
    let path: String
    /// What stands before a key in complaints: "" or "cluster." or "servers[2].".
    private let prefix: String
    private let table: TOMLTable

    /// Parses a whole file's bytes.
    init(parsing bytes: [UInt8], path: String, keys: Set<String>) throws(ConfigurationError) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .notTOML(path: path, line: 1, column: 1, reason: "the file is not UTF-8 text")
        }
        // The parser takes a C string and would end at the NUL in silence.
        guard !bytes.contains(0) else {
            throw .notTOML(path: path, line: 1, column: 1, reason: "the file contains a NUL byte")
        }
        let parsed: TOMLTable
        do {
            parsed = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw .notTOML(
                path: path, line: error.source.begin.line, column: error.source.begin.column,
                reason: error.description)
        } catch {
            throw .notTOML(path: path, line: 1, column: 1, reason: "\(error)")
        }
        try self.init(parsed, path: path, prefix: "", keys: keys)
    }

    private init(_ table: TOMLTable, path: String, prefix: String, keys: Set<String>) throws(ConfigurationError) {
        self.path = path
        self.prefix = prefix
        self.table = table
        if let unknown = table.keys.sorted().first(where: { !keys.contains($0) }) {
            throw .unknownKey(path: path, key: prefix + unknown)
        }
    }

    /// The key as complaints name it.
    func name(of key: String) -> String { prefix + key }

    /// The complaint that a key's value makes no sense.
    func invalid(_ key: String, _ value: some CustomStringConvertible, _ reason: String) -> ConfigurationError {
        .invalidValue(path: path, key: name(of: key), value: value.description, reason: reason)
    }

    func text(_ key: String, expected: String) throws(ConfigurationError) -> String {
        let value = try self.value(key, expected: expected)
        guard let text = value.string else { throw wrongType(key, expected: expected, value) }
        return text
    }

    func integer(_ key: String, expected: String) throws(ConfigurationError) -> Int {
        let value = try self.value(key, expected: expected)
        guard let integer = value.int else { throw wrongType(key, expected: expected, value) }
        return integer
    }

    func integer(_ key: String, expected: String, default: Int) throws(ConfigurationError) -> Int {
        table.contains(key: key) ? try integer(key, expected: expected) : `default`
    }

    func section(_ key: String, keys: Set<String>) throws(ConfigurationError) -> StrictTable {
        let expected = "a table [\(key)]"
        let value = try self.value(key, expected: expected)
        guard let section = value.table else { throw wrongType(key, expected: expected, value) }
        return try StrictTable(section, path: path, prefix: "\(prefix)\(key).", keys: keys)
    }

    func sections(_ key: String, keys: Set<String>) throws(ConfigurationError) -> [StrictTable] {
        let expected = "tables [[\(key)]]"
        let value = try self.value(key, expected: expected)
        guard let array = value.array else { throw wrongType(key, expected: expected, value) }
        var sections: [StrictTable] = []
        for index in 0..<array.count {
            let element = array[index]
            guard let section = element.tomlValue.table else {
                throw wrongType("\(key)[\(index)]", expected: "a table [[\(key)]]", element)
            }
            try sections.append(StrictTable(section, path: path, prefix: "\(prefix)\(key)[\(index)].", keys: keys))
        }
        return sections
    }

    private func value(_ key: String, expected: String) throws(ConfigurationError) -> any TOMLValueConvertible {
        guard let value = table[key] else { throw .missingKey(path: path, key: name(of: key), expected: expected) }
        return value
    }

    private func wrongType(
        _ key: String, expected: String, _ value: any TOMLValueConvertible
    ) -> ConfigurationError {
        .wrongType(path: path, key: name(of: key), expected: expected, found: "\(value.type)")
    }
}

extension StrictTable {
    /// Refuses every format but `supported`, the value of the key "format".
    func checkFormat(_ supported: Int) throws(ConfigurationError) {
        let found = try integer("format", expected: "the integer \(supported)")
        guard found == supported else { throw .unsupportedFormat(path: path, found: found, supported: supported) }
    }
}
