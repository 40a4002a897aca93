/** How long something took, as docker says it: go-units HumanDuration. */

/** `About an hour`, `3 weeks`. */
export function durationText(seconds: number): string {
  const whole = Math.floor(seconds)
  if (whole < 1) return 'Less than a second'
  if (whole < 60) return whole === 1 ? '1 second' : `${whole} seconds`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return minutes === 1 ? 'About a minute' : `${minutes} minutes`
  const hours = Math.floor(seconds / 3600 + 0.5)
  if (hours < 48) return hours === 1 ? 'About an hour' : `${hours} hours`
  const days = Math.floor(hours / 24)
  if (days < 14) return `${days} days`
  if (days < 60) return `${Math.floor(days / 7)} weeks`
  return days < 365 ? `${Math.floor(days / 30)} months` : `${Math.floor(days / 365)} years`
}
