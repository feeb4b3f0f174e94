//! What the programs are given: made from a seed, the same on every machine.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Makes an input of a size below a directory, unless it is there, and says where.
pub type Make = fn(&Path, usize) -> PathBuf;

type Out<'a> = &'a mut dyn Write;

pub fn nothing(directory: &Path, _: usize) -> PathBuf {
    directory.into()
}

/// An array of people.
pub fn json(directory: &Path, people: usize) -> PathBuf {
    file(directory, &format!("{people}.json"), |out, random| {
        for id in 0..people {
            let (first, last, city) = (random.word(), random.word(), random.word());
            let (age, number, note) = (random.below(90), random.below(300), random.words(8));
            let tags: Vec<_> =
                (0..random.below(6)).map(|_| format!("{:?}", random.word())).collect();
            let comma = if id == 0 { '[' } else { ',' };
            writeln!(
                out,
                "{comma}{{\"id\":{id},\"name\":\"{first} {last}\",\"age\":{age},\"city\":\"{city}\",\
                 \"address\":{{\"street\":\"{last} {city}\",\"number\":{number}}},\"note\":\"{note}\",\
                 \"tags\":[{}]}}",
                tags.join(",")
            )?;
        }
        writeln!(out, "]")
    })
}

/// Rows of seven columns, with a heading.
pub fn csv(directory: &Path, rows: usize) -> PathBuf {
    file(directory, &format!("{rows}.csv"), |out, random| {
        writeln!(out, "id,name,city,age,amount,account,comment")?;
        for id in 0..rows {
            let (name, city, age) = (random.words(2), random.word(), random.below(90));
            let (cents, account) = (random.below(10_000_000), random.below(rows / 4 + 1));
            let comment = random.words(5);
            writeln!(
                out,
                "{id},{name},{city},{age},{}.{},a{account},{comment}",
                cents / 100,
                cents % 100
            )?;
        }
        Ok(())
    })
}

pub fn lines(directory: &Path, lines: usize) -> PathBuf {
    file(directory, &format!("{lines}.txt"), |out, random| {
        (0..lines).try_for_each(|_| {
            let length = 20 + random.below(60);
            writeln!(out, "{}", random.words(length))
        })
    })
}

/// Sections with a list, a table, code, emphasis and links.
pub fn markdown(directory: &Path, sections: usize) -> PathBuf {
    file(directory, &format!("{sections}.md"), |out, random| {
        for section in 0..sections {
            writeln!(out, "## {section} {}\n", random.words(4))?;
            writeln!(
                out,
                "{} *{}* {} **{}**, `{}`.\n",
                random.words(20),
                random.words(2),
                random.words(9),
                random.words(3),
                random.word()
            )?;
            for _ in 0..3 {
                writeln!(
                    out,
                    "* [{}](https://example.org/{}) {}",
                    random.words(2),
                    random.word(),
                    random.words(6)
                )?;
            }
            writeln!(out, "\n| {} | {} |\n|---|--:|", random.word(), random.word())?;
            for _ in 0..4 {
                writeln!(out, "| {} | {} |", random.words(3), random.below(1000))?;
            }
            writeln!(out, "\n```rust\nlet {} = {};\n```\n", random.word(), random.below(1000))?;
        }
        Ok(())
    })
}

/// Blocks of nested rules, with variables, a mixin and a loop.
pub fn scss(directory: &Path, blocks: usize) -> PathBuf {
    file(directory, &format!("{blocks}.scss"), |out, random| {
        writeln!(
            out,
            "@mixin box($side, $by: 2) {{ padding: $side * $by; &:hover {{ margin: $side; }} }}"
        )?;
        for block in 0..blocks {
            let (one, two, size) = (random.word(), random.word(), random.below(40) + 1);
            writeln!(
                out,
                "$size-{block}: {size}px;\n.{one}-{block} {{\n  color: mix(#336699, #{:06x}, 40%);\n  \
                 @include box($size-{block});\n  .{two} > a {{ width: calc(100% - #{{$size-{block}}}); \
                 &.{one} {{ top: $size-{block} + 3px; }} }}\n  @each $i in 1, 2, 3, 4 {{\n    \
                 .column-#{{$i}} {{ width: percentage($i * 0.25); @include box($i * 1px, 3); }}\n  }}\n}}",
                random.below(1 << 24)
            )?;
        }
        Ok(())
    })
}

/// Statements: tables, rows, and queries with joins.
pub fn sql(directory: &Path, statements: usize) -> PathBuf {
    file(directory, &format!("{statements}.sql"), |out, random| {
        for _ in 0..statements {
            let (a, b, c, d) = (random.word(), random.word(), random.word(), random.word());
            let (n, text) = (random.below(1000), random.words(4));
            match random.below(4) {
                0 => writeln!(
                    out,
                    "CREATE TABLE t_{a} (id_{b} BIGINT PRIMARY KEY, c_{c} VARCHAR(80) NOT NULL DEFAULT '{text}', \
                     c_{d} DECIMAL(10, 2), CHECK (c_{d} > {n}));"
                )?,
                1 => writeln!(
                    out,
                    "INSERT INTO t_{a} (c_{b}, c_{c}, c_{d}) VALUES (1, '{text}', {n}), (2, '{a}', -{n}), \
                     ({n}, NULL, 3.5);"
                )?,
                _ => writeln!(
                    out,
                    "SELECT x.c_{a}, count(*) AS n_{b}, sum(y.c_{c} * (1 - y.c_{d})) FROM t_{a} x LEFT JOIN \
                     t_{b} y ON x.id_{c} = y.id_{c} AND y.c_{d} <> '{text}' WHERE x.c_{b} IN (SELECT c_{d} FROM \
                     t_{d} WHERE c_{a} BETWEEN {n} AND {n} + 9) OR CASE WHEN x.c_{d} IS NULL THEN 1 ELSE {n} END \
                     = 1 GROUP BY x.c_{a} HAVING count(*) > {n} ORDER BY n_{b} DESC LIMIT {n};"
                )?,
            }
        }
        Ok(())
    })
}

/// A script that counts words and makes objects.
pub fn rhai(directory: &Path, rounds: usize) -> PathBuf {
    file(directory, &format!("{rounds}.rhai"), |out, _| {
        write!(
            out,
            r#"let n = {rounds};
let seed = 42;
let counts = #{{}};
for i in 0..n {{
    seed = (seed * 1103515245 + 12345) % 2147483648;
    let word = "word " + (seed % 5000);
    if word in counts {{ counts[word] += 1; }} else {{ counts[word] = 1; }}
}}
let objects = [];
for i in 0..n {{ objects.push(#{{ id: i, name: "name " + i, tags: [i % 7, i % 11] }}); }}
let picked = objects.filter(|o| o.tags[0] == 3).map(|o| o.name + "!");
let words = counts.keys();
words.sort();
print(`${{words.len}} ${{picked.len}}`);
"#
        )
    })
}

/// Files of Rust code, 25 to a directory.
pub fn rust_tree(directory: &Path, files: usize) -> PathBuf {
    tree(directory, "rs", files, |out, random| {
        writeln!(out, "//! {}\n\nuse std::collections::HashMap;\n", random.words(9))?;
        for _ in 0..2 + random.below(8) {
            let (f, a, b, c) = (random.word(), random.word(), random.word(), random.word());
            let (n, about) = (random.below(1000), random.words(10));
            writeln!(
                out,
                "/// {about}\npub fn {f}_{a}(r#{b}: &str, r#{c}: usize) -> Option<usize> {{\n    \
                 let mut map_{a}: HashMap<String, Vec<usize>> = HashMap::new();\n    \
                 for (i, word) in r#{b}.split_whitespace().enumerate() {{\n        \
                 // {about}\n        if word.len() > {n} && i % 2 == 0 {{\n            \
                 map_{a}.entry(word.to_owned()).or_default().push(i + r#{c});\n        \
                 }} else if let Some(found) = map_{a}.get_mut(\"{about}\") {{\n            \
                 found.retain(|&x| x != {n});\n        }}\n    }}\n    \
                 map_{a}.values().map(|v| v.iter().sum::<usize>()).max()\n}}\n"
            )?;
        }
        Ok(())
    })
}

/// Files of JavaScript modules, 25 to a directory.
pub fn javascript_tree(directory: &Path, files: usize) -> PathBuf {
    tree(directory, "js", files, |out, random| {
        writeln!(out, "import {{ $one, $two }} from './{}.js';\n", random.word())?;
        for i in 0..4 + random.below(16) {
            let (f, a, b) = (random.word(), random.word(), random.word());
            let (n, about) = (random.below(1000), random.words(8));
            writeln!(
                out,
                "/** {about} */\nexport class C{i}_{f} extends $one {{\n  #count = {n};\n  \
                 async m_{a}(x_{b}, {{ y = {n}, ...rest }} = {{}}) {{\n    \
                 const list = [...x_{b}].filter((z) => z.{a}?.length > y).map((z) => ({{ ...rest, z }}));\n    \
                 for (const item of list) {{\n      if (item.z === '{about}') continue;\n      \
                 this.#count += await $two(item, `${{item.z}} {about}`);\n    }}\n    \
                 return list.length ? this.#count : null;\n  }}\n}}\n"
            )?;
        }
        Ok(())
    })
}

/// Empty files, 25 to a directory.
pub fn empty_tree(directory: &Path, files: usize) -> PathBuf {
    tree(directory, "empty.rs", files, |_, _| Ok(()))
}

/// For wrk: as many notes written as read, of 20,000.
pub fn wrk_notes(directory: &Path, _: usize) -> PathBuf {
    file(directory, "notes.lua", |out, random| {
        writeln!(out, "math.randomseed(1)\nlocal notes = {{")?;
        for _ in 0..64 {
            let (title, words) = (random.words(4), 10 + random.below(300));
            writeln!(
                out,
                "  '{{\"title\": \"{title}\", \"text\": \"{}\"}}',",
                random.words(words)
            )?;
        }
        write!(
            out,
            "}}
local headers = {{ ['Content-Type'] = 'application/json' }}
request = function()
  local path = '/notes/' .. math.random(20000)
  if math.random(2) == 1 then return wrk.format('GET', path) end
  return wrk.format('POST', path, headers, notes[math.random(#notes)])
end
"
        )
    })
}

fn file(
    directory: &Path,
    name: &str,
    make: impl Fn(Out, &mut Random) -> io::Result<()>,
) -> PathBuf {
    whole(directory.join(name), |path| {
        let mut out = BufWriter::new(File::create(path)?);
        make(&mut out, &mut Random::new())?;
        out.flush()
    })
}

fn tree(
    directory: &Path,
    extension: &str,
    files: usize,
    make: impl Fn(Out, &mut Random) -> io::Result<()>,
) -> PathBuf {
    whole(directory.join(format!("{files}.{extension}.d")), |path| {
        let mut random = Random::new();
        for i in 0..files {
            let directory = path.join(format!("{}/{}", i / 625, i / 25 % 25));
            fs::create_dir_all(&directory)?;
            let name = format!("{i}_{}.{extension}", random.word());
            let mut out = BufWriter::new(File::create(directory.join(name))?);
            make(&mut out, &mut random)?;
            out.flush()?;
        }
        Ok(())
    })
}

/// What is there under its name is whole: it is made under another one.
fn whole(path: PathBuf, make: impl FnOnce(&Path) -> io::Result<()>) -> PathBuf {
    if !path.exists() {
        eprintln!("making {}", path.display());
        let part = path.with_extension("part");
        let _ = fs::remove_dir_all(&part);
        make(&part).and_then(|()| fs::rename(&part, &path)).expect("there is room on the disk");
    }
    path
}

/// xorshift64*, and words out of it.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Random(0x9E37_79B9_7F4A_7C15)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) * end as u64 >> 32) as usize
    }

    /// One of 8,000 words of one to four syllables, some of them often.
    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 20] = [
            "ba", "ce", "dor", "fi", "gu", "han", "jo", "ka", "lem", "mi", "no", "per", "qua",
            "ri", "sol", "tu", "ver", "wi", "xen", "yo",
        ];
        let most = self.below(8_000) + 1;
        let mut number = self.below(most);
        let mut word = String::new();
        loop {
            word += SYLLABLES[number % 20];
            number /= 20;
            if number == 0 {
                return word;
            }
        }
    }

    fn words(&mut self, count: usize) -> String {
        let words: Vec<String> = (0..count).map(|_| self.word()).collect();
        words.join(" ")
    }
}
