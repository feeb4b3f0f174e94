//! Two plots, in colours that people who confuse red and green can tell apart (Okabe and Ito,
//! 2008), and with a shape for each series beside them. glibc is the line at 1.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An allocator looks the same in every plot.
const LOOKS: [(&str, RGBColor); 3] = [
    ("alloc-switch", RGBColor(0x00, 0x72, 0xB2)),
    ("mimalloc", RGBColor(0xCC, 0x79, 0xA7)),
    ("give-back", RGBColor(0xD5, 0x5E, 0x00)),
];
const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);

fn look(name: &str) -> usize {
    LOOKS.iter().position(|(known, _)| *known == name).unwrap_or(LOOKS.len() - 1)
}

fn draw(size: (u32, u32), plot: impl FnOnce(&Area)) -> String {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    root.fill(&WHITE).unwrap();
    plot(&root);
    root.present().unwrap();
    drop(root);
    svg + "\n"
}

fn text(area: &Area, content: &str, at: (i32, i32), horizontal: HPos, size: i32, colour: RGBColor) {
    let style = ("sans-serif", size).into_font().color(&colour);
    let style = style.pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new(content.to_owned(), at, style)).unwrap();
}

fn line(area: &Area, from: (i32, i32), to: (i32, i32), colour: RGBColor) {
    area.draw(&PathElement::new(vec![from, to], colour)).unwrap();
}

fn marker(area: &Area, look: usize, (x, y): (i32, i32)) {
    let style = LOOKS[look].1.filled();
    let corners = |offsets: [(i32, i32); 4]| {
        Polygon::new(offsets.map(|(dx, dy)| (x + dx, y + dy)).to_vec(), style)
    };
    match look {
        0 => area.draw(&Circle::new((x, y), 5, style)),
        1 => area.draw(&corners([(-6, 0), (0, -6), (6, 0), (0, 6)])),
        _ => area.draw(&TriangleMarker::new((x, y), 6, style)),
    }
    .unwrap();
}

fn legend(area: &Area, names: &[&str], mut x: i32, y: i32) {
    for name in names {
        marker(area, look(name), (x, y));
        text(area, name, (x + 12, y), HPos::Left, 13, BLACK);
        x += 36 + 8 * name.len() as i32;
    }
}

/// A logarithmic axis in pixels, with room around the values and 1 on it.
struct Axis {
    low: f64,
    high: f64,
    from: i32,
    to: i32,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: i32, to: i32) -> Self {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((0.9, 1.1), |(low, high), v| (f64::min(low, v), f64::max(high, v)));
        let room = (high / low).powf(0.06);
        Axis { low: low / room, high: high * room, from, to }
    }

    fn at(&self, value: f64) -> i32 {
        let part = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + (part * f64::from(self.to - self.from)).round() as i32
    }

    /// Round numbers: tenths or so where the axis is short, else some of each decade.
    fn ticks(&self) -> Vec<f64> {
        let within = |v: &f64| (self.low..=self.high).contains(v);
        let digits: &[f64] = match self.high / self.low {
            span if span > 15.0 => &[1.0, 2.0, 5.0],
            span if span > 3.0 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            _ => &[],
        };
        if !digits.is_empty() {
            let decade = |e: i32| digits.iter().map(move |digit| digit * 10f64.powi(e));
            return (-3..4).flat_map(decade).filter(within).collect();
        }
        let steps = [0.05, 0.1, 0.2, 0.25, 0.5];
        let step = steps.into_iter().find(|s| (self.high - self.low) / s < 8.0).unwrap_or(1.0);
        (1..200).map(|i| f64::from(i) * step).filter(within).collect()
    }
}

fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Moves labels apart that would stand on each other; `at` are their heights.
fn spread(mut at: Vec<(i32, usize)>, least: i32) -> Vec<i32> {
    at.sort();
    for i in 1..at.len() {
        at[i].0 = at[i].0.max(at[i - 1].0 + least);
    }
    let mut heights = vec![0; at.len()];
    at.into_iter().for_each(|(height, index)| heights[index] = height);
    heights
}

/// The name of a row and its values: for each panel one of each series. A heading has no panels.
pub struct Row {
    pub name: String,
    pub panels: Vec<Vec<f64>>,
}

/// A row of dots for each workload, in panels side by side.
pub fn dots(panels: &[&str], series: &[&str], rows: &[Row]) -> String {
    let (left, width, gap, top, step) = (130, 370, 30, 92, 22);
    let bottom = top + step * rows.len() as i32;
    let whole = left + panels.len() as i32 * (width + gap);
    draw((whole as u32, bottom as u32 + 34), |area| {
        legend(area, series, left, 20);
        for (panel, metric) in panels.iter().enumerate() {
            let from = left + panel as i32 * (width + gap);
            let values = rows.iter().filter_map(|row| row.panels.get(panel)).flatten();
            let axis = Axis::new(values.copied(), from, from + width);
            let words = axis.at(1.0).clamp(from + 170, from + width - 50); // within the panel
            let less = format!("← less {metric} than glibc");
            text(area, &less, (words - 8, 56), HPos::Right, 13, BLACK);
            text(area, "more →", (words + 8, 56), HPos::Left, 13, BLACK);
            for tick in axis.ticks() {
                let colour = if number(tick) == "1" { BLACK } else { GRID };
                line(area, (axis.at(tick), top - 14), (axis.at(tick), bottom), colour);
                text(area, &number(tick), (axis.at(tick), bottom + 14), HPos::Center, 12, GREY);
                text(area, &number(tick), (axis.at(tick), top - 22), HPos::Center, 12, GREY);
            }
            for (i, row) in rows.iter().enumerate() {
                let y = top + step * i as i32 + 4;
                if let Some(values) = row.panels.get(panel) {
                    line(area, (from, y), (from + width, y), RGBColor(0xEE, 0xEE, 0xEE));
                    for (name, value) in series.iter().zip(values).filter(|(_, v)| v.is_finite()) {
                        marker(area, look(name), (axis.at(*value), y));
                    }
                }
            }
        }
        for (i, row) in rows.iter().enumerate() {
            let y = top + step * i as i32 + 4;
            if row.panels.is_empty() {
                text(area, &row.name, (12, y), HPos::Left, 13, GREY);
            } else {
                text(area, &row.name, (left - 10, y), HPos::Right, 13, BLACK);
            }
        }
    })
}

pub struct Panel<'a> {
    pub title: &'a str,
    pub x: &'a str,
    /// Where on x the points are.
    pub steps: Vec<String>,
    pub lines: Vec<(&'a str, Vec<f64>)>,
}

/// Lines in panels, two in a row: steps that are equally far apart, multiples of glibc's.
pub fn lines(panels: &[Panel]) -> String {
    let (width, height) = (470, 300);
    let rows = (panels.len() as i32 + 1) / 2;
    draw((2 * width as u32, (rows * height) as u32), |area| {
        for (i, panel) in panels.iter().enumerate() {
            let (x0, y0) = (i as i32 % 2 * width, i as i32 / 2 * height);
            let (left, right, top, bottom) = (x0 + 56, x0 + width - 110, y0 + 52, y0 + 244);
            let values = panel.lines.iter().flat_map(|(_, values)| values.iter().copied());
            let y = Axis::new(values, bottom, top);
            let last = panel.steps.len().max(2) as i32 - 1;
            let x = |step: usize| left + (right - left) * step as i32 / last;
            text(area, panel.title, (left, y0 + 22), HPos::Left, 14, BLACK);
            text(area, panel.x, ((left + right) / 2, bottom + 40), HPos::Center, 13, GREY);
            for tick in y.ticks() {
                let colour = if number(tick) == "1" { BLACK } else { GRID };
                line(area, (left, y.at(tick)), (right, y.at(tick)), colour);
                text(area, &number(tick), (left - 8, y.at(tick)), HPos::Right, 12, GREY);
            }
            for (step, name) in panel.steps.iter().enumerate() {
                text(area, name, (x(step), bottom + 18), HPos::Center, 12, GREY);
            }
            let ends = panel.lines.iter().map(|(_, values)| y.at(*values.last().unwrap()));
            let ends = ends.chain([y.at(1.0)]).zip(0..);
            let heights = spread(ends.collect(), 15);
            for ((name, values), height) in panel.lines.iter().zip(&heights) {
                let points: Vec<_> =
                    values.iter().enumerate().map(|(step, v)| (x(step), y.at(*v))).collect();
                let colour = LOOKS[look(name)].1;
                area.draw(&PathElement::new(points.clone(), colour.stroke_width(2))).unwrap();
                points.into_iter().for_each(|point| marker(area, look(name), point));
                text(area, name, (right + 10, *height), HPos::Left, 12, colour);
            }
            text(area, "glibc", (right + 10, heights[panel.lines.len()]), HPos::Left, 12, BLACK);
        }
    })
}
