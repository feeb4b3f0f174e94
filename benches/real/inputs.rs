//! What the programs are given: made from a seed, the same on every machine.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Makes an input of a size below a directory, unless it is there, and says where.
pub type Make = fn(&Path, usize) -> PathBuf;

pub fn nothing(directory: &Path, _: usize) -> PathBuf {
    directory.into()
}

/// An array of people.
pub fn json(directory: &Path, people: usize) -> PathBuf {
    file(directory, &format!("{people}.json"), |out, random| {
        for i in 0..people {
            out.write_all(if i == 0 { b"[" } else { b"," })?;
            out.write_all(random.fill(PERSON, i).as_bytes())?;
        }
        out.write_all(b"]\n")
    })
}

const PERSON: &str = r#"{"id":~i,"name":"~a ~b","age":~y,"city":"~c","height":1.~n,
"address":{"street":"~b ~c","number":~n},"note":"~text","tags":["~a","~b","~d"]}
"#;

/// Rows of seven columns, with a heading.
pub fn csv(directory: &Path, rows: usize) -> PathBuf {
    file(directory, &format!("{rows}.csv"), |out, random| {
        out.write_all(b"id,name,city,age,amount,account,comment\n")?;
        (0..rows).try_for_each(|i| out.write_all(random.fill(ROW, i).as_bytes()))
    })
}

const ROW: &str = "~i,~a ~b,~c,~y,~n.~y,~d-~n,~text\n";

/// Lines of prose.
pub fn lines(directory: &Path, lines: usize) -> PathBuf {
    repeated(directory, "txt", lines, &["~text ~text ~text ~text\n", "~text ~text ~a ~b\n"])
}

/// Sections with a list, a table, code, emphasis and links.
pub fn markdown(directory: &Path, sections: usize) -> PathBuf {
    repeated(directory, "md", sections, &[SECTION])
}

const SECTION: &str = "\
## ~i ~a ~b

~text ~text *~text* ~text **~a ~b**, `~c`. ~text

* [~a ~b](https://example.org/~c) ~text
* [~c ~a](https://example.org/~d) ~text

| ~a | ~b |
|----|---:|
| ~text | ~n |
| ~c ~d | ~n |

```rust
let ~a = ~n;
```

";

/// Blocks of nested rules, with variables, a mixin and a loop.
pub fn scss(directory: &Path, blocks: usize) -> PathBuf {
    file(directory, &format!("{blocks}.scss"), |out, random| {
        out.write_all(MIXIN.as_bytes())?;
        (0..blocks).try_for_each(|i| out.write_all(random.fill(BLOCK, i).as_bytes()))
    })
}

const MIXIN: &str = "\
@mixin box($side, $by: 2) {
  padding: $side * $by;
  &:hover { margin: $side; }
}
";

const BLOCK: &str = "\
$size-~i: ~npx;
.~a-~i {
  color: mix(#336699, hsl(~y, 50%, 40%), 40%);
  @include box($size-~i);
  .~b > a { width: calc(100% - #{$size-~i}); &.~c { top: $size-~i + 3px; } }
  @each $i in 1, 2, 3, 4 {
    .column-#{$i} { width: percentage($i * 0.25); @include box($i * 1px, 3); }
  }
}
";

/// Statements: tables, rows, and queries with joins.
pub fn sql(directory: &Path, statements: usize) -> PathBuf {
    repeated(directory, "sql", statements, &[TABLE, INSERT, SELECT, SELECT])
}

const TABLE: &str = "\
CREATE TABLE t_~a (id_~b BIGINT PRIMARY KEY, c_~c VARCHAR(80) NOT NULL DEFAULT '~text',
  c_~d DECIMAL(10, 2), CHECK (c_~d > ~n));
";

const INSERT: &str = "\
INSERT INTO t_~a (c_~b, c_~c, c_~d) VALUES (1, '~text', ~n), (2, '~a', -~n), (~n, NULL, 3.5);
";

const SELECT: &str = "\
SELECT x.c_~a, count(*) AS n_~b, sum(y.c_~c * (1 - y.c_~d)) FROM t_~a x
  LEFT JOIN t_~b y ON x.id_~c = y.id_~c AND y.c_~d <> '~text'
  WHERE x.c_~b IN (SELECT c_~d FROM t_~d WHERE c_~a BETWEEN ~n AND ~n + 9)
    OR CASE WHEN x.c_~d IS NULL THEN 1 ELSE ~n END = 1
  GROUP BY x.c_~a HAVING count(*) > ~n ORDER BY n_~b DESC LIMIT ~n;
";

/// A script that counts words and makes objects.
pub fn rhai(directory: &Path, rounds: usize) -> PathBuf {
    file(directory, &format!("{rounds}.rhai"), |out, _| {
        out.write_all(SCRIPT.replace("~rounds", &rounds.to_string()).as_bytes())
    })
}

const SCRIPT: &str = r#"
let n = ~rounds;
let seed = 42;
let counts = #{};
for i in 0..n {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    let word = "word " + (seed % 5000);
    if word in counts { counts[word] += 1; } else { counts[word] = 1; }
}
let objects = [];
for i in 0..n { objects.push(#{ id: i, name: "name " + i, tags: [i % 7, i % 11] }); }
let picked = objects.filter(|o| o.tags[0] == 3).map(|o| o.name + "!");
let words = counts.keys();
words.sort();
print(`${words.len} ${picked.len}`);
"#;

/// Files of Rust code.
pub fn rust_tree(directory: &Path, files: usize) -> PathBuf {
    tree(directory, "rs", files, FUNCTION, 9)
}

const FUNCTION: &str = r#"
/// ~text
pub fn ~a_~b(r#~b: &str, r#~c: usize) -> Option<usize> {
    let mut map_~a: std::collections::HashMap<String, Vec<usize>> = Default::default();
    for (i, word) in r#~b.split_whitespace().enumerate() {
        // ~text
        if word.len() > ~n && i % 2 == 0 {
            map_~a.entry(word.to_owned()).or_default().push(i + r#~c);
        } else if let Some(found) = map_~a.get_mut("~text") {
            found.retain(|&x| x != ~n);
        }
    }
    map_~a.values().map(|v| v.iter().sum::<usize>()).max()
}
"#;

/// Files of JavaScript modules.
pub fn javascript_tree(directory: &Path, files: usize) -> PathBuf {
    tree(directory, "js", files, CLASS, 20)
}

const CLASS: &str = "
/** ~text */
export class C~i_~a extends Map {
  #count = ~n;
  async m_~b(x_~c, { y = ~n, ...rest } = {}) {
    const list = [...x_~c].filter((z) => z.~d?.length > y).map((z) => ({ ...rest, z }));
    for (const item of list) {
      if (item.z === '~text') continue;
      this.#count += await super.get(item, `${item.z} ~text`);
    }
    return list.length ? this.#count : null;
  }
}
";

/// Empty files.
pub fn empty_tree(directory: &Path, files: usize) -> PathBuf {
    tree(directory, "empty.rs", files, "", 1)
}

/// For wrk: as many notes written as read, of 20,000.
pub fn wrk_notes(directory: &Path, _: usize) -> PathBuf {
    file(directory, "notes.lua", |out, random| {
        writeln!(out, "local notes = {{")?;
        for length in 1..64 {
            let text = random.fill(&"~text ".repeat(length), 0);
            writeln!(out, "  '{{\"title\": \"{}\", \"text\": \"{text}\"}}',", random.word())?;
        }
        out.write_all(REQUEST.as_bytes())
    })
}

const REQUEST: &str = "}
math.randomseed(1)
local headers = { ['Content-Type'] = 'application/json' }
request = function()
  local path = '/notes/' .. math.random(20000)
  if math.random(2) == 1 then return wrk.format('GET', path) end
  return wrk.format('POST', path, headers, notes[math.random(#notes)])
end
";

/// For wrk: arrays of 250 people, of twice as many, and so on.
pub fn wrk_people(directory: &Path, arrays: usize) -> PathBuf {
    file(directory, "people.lua", |out, random| {
        writeln!(out, "local people = {{}}")?;
        for i in 0..250 * arrays {
            writeln!(out, "people[{}] = [[{}]]", i + 1, random.fill(PERSON, i))?;
        }
        out.write_all(ARRAYS.as_bytes())
    })
}

const ARRAYS: &str = "
local requests, headers = {}, { ['Content-Type'] = 'application/json' }
math.randomseed(1)
init = function()
  for count = 250, #people, 250 do
    local body = '[' .. table.concat(people, ',', 1, count) .. ']'
    requests[#requests + 1] = wrk.format('POST', '/cities', headers, body)
  end
end
request = function() return requests[math.random(#requests)] end
";

type Out<'a> = &'a mut dyn Write;

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

/// A file of so many pieces, each after one of the templates.
fn repeated(directory: &Path, extension: &str, pieces: usize, templates: &[&str]) -> PathBuf {
    file(directory, &format!("{pieces}.{extension}"), |out, random| {
        (0..pieces).try_for_each(|i| {
            let template = templates[random.below(templates.len())];
            out.write_all(random.fill(template, i).as_bytes())
        })
    })
}

/// Files of one to `most` pieces each, 25 to a directory.
fn tree(directory: &Path, extension: &str, files: usize, template: &str, most: usize) -> PathBuf {
    whole(directory.join(format!("{files}.{extension}.d")), |path| {
        let mut random = Random::new();
        for i in 0..files {
            let directory = path.join(format!("{}/{}", i / 625, i / 25 % 25));
            fs::create_dir_all(&directory)?;
            let name = format!("{i}_{}.{extension}", random.word());
            let pieces = 0..1 + random.below(most);
            let text: String = pieces.map(|i| random.fill(template, i)).collect();
            fs::write(directory.join(name), text)?;
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
        (((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) * end as u64) >> 32) as usize
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

    /// Fills in a template: `~a` to `~d` are words, the same one each time, `~text` eight words,
    /// `~n` a number below 1000, `~y` one below 90, and `~i` is `index`.
    fn fill(&mut self, template: &str, index: usize) -> String {
        let words: [String; 4] = std::array::from_fn(|_| self.word());
        let mut text = String::new();
        let mut pieces = template.split('~');
        text += pieces.next().unwrap_or_default();
        for piece in pieces {
            let name = if piece.starts_with("text") { "text" } else { &piece[..1] };
            text += &match name {
                "a" | "b" | "c" | "d" => words[usize::from(name.as_bytes()[0] - b'a')].clone(),
                "n" => self.below(1000).to_string(),
                "y" => self.below(90).to_string(),
                "i" => index.to_string(),
                "text" => [(); 8].map(|()| self.word()).join(" "),
                other => panic!("~{other} is no placeholder"),
            };
            text += &piece[name.len()..];
        }
        text
    }
}
